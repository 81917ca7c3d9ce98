import CKernels

/// Matrices that multiply the same rows, such as those for queries, keys and values.
public struct MatrixGroup: Sendable {
    public struct Member: Sendable {
        public let matrix: PackedMatrix
        public let bias: FloatVector?

        public init(_ matrix: PackedMatrix, bias: FloatVector? = nil) {
            self.matrix = matrix
            self.bias = bias
        }
    }

    /// Members by the form in which they take their input.
    private let runs: [[(place: Int, member: Member)]]

    public init(_ members: [Member]) {
        precondition(Set(members.map(\.matrix.columns)).count == 1, "matrices of different widths")
        let places = members.enumerated().map { (place: $0.offset, member: $0.element) }
        let types = Set(members.map(\.matrix.inputType)).sorted()
        runs = types.map { type in places.filter { $0.member.matrix.inputType == type } }
    }

    /// outputs[i][m] (+)= matrix i · input[m] + bias i, for all rows m of the input.
    ///
    /// Threads share out weight rows, never a sum, so the result for an input row depends neither on the pool nor on
    /// the other rows.
    public func multiply(
        _ input: FloatRows, into outputs: [FloatRows], adds: Bool = false, tiles: InputTiles, pool: ComputePool
    ) {
        guard input.rows > 0 else { return }
        for run in runs {
            tiles.layOut(
                columns: input.columns, inputType: run[0].member.matrix.inputType, instructionSet: pool.instructionSet)
            tiles.append(group: 0..<input.rows)
            pool.run(parts: tiles.count) { tiles.prepare(tile: $0, from: input) }
            let panelsPerPart = panelsPerPart(run, inputRows: input.rows, threads: pool.threads)
            let parts = run.reduce(0) { $0 + Self.parts($1.member, panelsPerPart) }
            pool.run(parts: parts) { part in
                var part = part
                for (place, member) in run {
                    let count = Self.parts(member, panelsPerPart)
                    if part < count {
                        let first = part * panelsPerPart
                        member.matrix.multiply(
                            tiles, panels: first..<min(first + panelsPerPart, member.matrix.panelCount),
                            bias: member.bias, into: outputs[place], adds: adds)
                        return
                    }
                    part -= count
                }
            }
        }
    }

    private static func parts(_ member: Member, _ panelsPerPart: Int) -> Int {
        (member.matrix.panelCount + panelsPerPart - 1) / panelsPerPart
    }

    /// Parts large enough to be worth handing over, and small enough that threads end together.
    private func panelsPerPart(_ run: [(place: Int, member: Member)], inputRows: Int, threads: Int) -> Int {
        let panels = run.reduce(0) { $0 + $1.member.matrix.panelCount }
        let bytes = run.reduce(0) { $0 + $1.member.matrix.byteCount }
        // Up to four rows are multiplied in the time in which the weights are read.
        let work = bytes * (1 + inputRows / 4)
        let parts = min(max(work / Self.smallestPart, 1), 4 * threads)
        return max(1, (panels + parts - 1) / parts)
    }

    /// Bytes of weights: some microseconds.
    private static let smallestPart = 65_536
}

import Tensors

/// The memory that the mixtures of experts of a model compute in, one after the other.
///
/// However the router decides, a step of n rows needs n · `used` grouped rows, so everything is reserved once.
final class ExpertWorkspace: @unchecked Sendable {
    /// The rows that chose one expert, as a range of grouped rows.
    struct Group: Equatable {
        let expert: Int
        let rows: Range<Int>
    }

    /// What the router says: rows × experts.
    let scores: FloatRows
    let routerOutputs: [FloatRows]
    /// Rows in the order of their experts: first their inputs, in the end what the experts make of them.
    let grouped: FloatRows
    let gate: FloatRows
    let up: FloatRows
    /// The groups' inputs, prepared.
    let tiles: InputTiles
    /// One group for every expert that was chosen, in the order of the experts.
    private(set) var groups: [Group] = []

    private let configuration: ExpertConfiguration
    /// Rows × chosen experts, in the order of the choice.
    private let weights: FloatRows
    /// For every element of `weights` its expert, and its grouped row.
    private var chosen: [Int]
    private var places: [Int]
    /// For every expert the next free grouped row.
    private var nextPlace: [Int]
    private let memory: [ReservedMemory]

    /// Bytes that are reserved.
    var byteCount: Int { memory.reduce(tiles.byteCount) { $0 + $1.byteCount } }

    init(
        _ configuration: ExpertConfiguration, width: Int, feedForwardWidth: Int, maximumRows: Int
    ) throws(MemoryError) {
        var memory: [ReservedMemory] = []
        func reserve(rows: Int, columns: Int) throws(MemoryError) -> FloatRows {
            let area = try ReservedMemory(byteCount: rows * columns * MemoryLayout<Float>.stride)
            memory.append(area)
            return FloatRows(area.floats(offset: 0, count: rows * columns), rows: rows, columns: columns)
        }
        let groupedRows = maximumRows * configuration.used
        scores = try reserve(rows: maximumRows, columns: configuration.count)
        routerOutputs = [scores]
        weights = try reserve(rows: maximumRows, columns: configuration.used)
        grouped = try reserve(rows: groupedRows, columns: width)
        gate = try reserve(rows: groupedRows, columns: feedForwardWidth)
        up = try reserve(rows: groupedRows, columns: feedForwardWidth)
        tiles = try InputTiles(
            maximumRows: groupedRows, maximumColumns: max(width, feedForwardWidth),
            maximumGroups: min(configuration.count, groupedRows))
        self.memory = memory
        self.configuration = configuration
        chosen = Array(repeating: 0, count: groupedRows)
        places = Array(repeating: 0, count: groupedRows)
        nextPlace = Array(repeating: 0, count: configuration.count)
        groups.reserveCapacity(min(configuration.count, groupedRows))
    }

    /// Whether it was made for a mixture of this shape.
    func fits(_ other: ExpertConfiguration, width: Int, feedForwardWidth: Int) -> Bool {
        configuration == other && grouped.columns == width && gate.columns == feedForwardWidth
    }

    // MARK: in the order of a step

    /// Chooses the experts of every row from its scores, and groups the rows.
    func route(rows: Int) {
        for row in 0..<rows { choose(row: row) }
        for expert in nextPlace.indices { nextPlace[expert] = 0 }
        let entries = 0..<rows * configuration.used
        for entry in entries { nextPlace[chosen[entry]] += 1 }
        groups.removeAll(keepingCapacity: true)
        var start = 0
        for expert in nextPlace.indices where nextPlace[expert] > 0 {
            let end = start + nextPlace[expert]
            groups.append(Group(expert: expert, rows: start..<end))
            nextPlace[expert] = start
            start = end
        }
        for entry in entries {
            places[entry] = nextPlace[chosen[entry]]
            nextPlace[chosen[entry]] += 1
        }
    }

    /// The experts with the highest scores, highest first; among equal ones the lowest number comes first.
    ///
    /// The models define a weight as the expert's share in a softmax over all experts, divided by the sum of the chosen
    /// shares. That is a softmax over the chosen scores alone.
    private func choose(row: Int) {
        let scores = scores[row]
        let first = row * configuration.used
        var count = 0
        for expert in scores.indices {
            var place = count
            while place > 0, scores[expert] > scores[chosen[first + place - 1]] { place -= 1 }
            guard place < configuration.used else { continue }
            count = min(count + 1, configuration.used)
            for later in stride(from: count - 1, to: place, by: -1) {
                chosen[first + later] = chosen[first + later - 1]
            }
            chosen[first + place] = expert
        }
        for index in 0..<configuration.used { weights[row][index] = scores[chosen[first + index]] }
        weights.softmax(row: row)
    }

    /// Rows of all groups together.
    var groupedRows: Int { groups.last?.rows.upperBound ?? 0 }

    /// The chosen experts of a row, in the order of the choice.
    func experts(row: Int) -> ArraySlice<Int> { chosen[entries(row)] }

    /// Copies a row to each group that it belongs to.
    func gather(row: Int, from input: FloatRows) {
        for entry in entries(row) { _ = grouped[places[entry]].update(fromContentsOf: input[row]) }
    }

    /// Adds up what the experts made of a row.
    func combine(row: Int, addingTo output: FloatRows) {
        for (index, entry) in entries(row).enumerated() {
            output.add(row: row, grouped, row: places[entry], scaledBy: weights[row][index])
        }
    }

    private func entries(_ row: Int) -> Range<Int> { row * configuration.used..<(row + 1) * configuration.used }
}

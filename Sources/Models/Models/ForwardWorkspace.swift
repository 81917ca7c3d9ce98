public import Tensors

/// The memory that a step computes in, reserved once and used again for every step.
///
/// After a step it holds the logits and the hidden states. One thread at a time may use it.
public final class ForwardWorkspace: @unchecked Sendable {
    /// Rows of the largest step.
    public let maximumRows: Int
    /// Rows of one step that may want logits.
    public let maximumLogitRows: Int

    let hidden: FloatRows
    let normalized: FloatRows
    let queries: FloatRows
    let keys: FloatRows
    let values: FloatRows
    let attended: FloatRows
    let gate: FloatRows
    let up: FloatRows
    let cosines: FloatRows
    let sines: FloatRows
    let logitRows: FloatRows
    /// The residual stream of layered rows between two steps.
    private let kept: FloatRows
    /// Whose it is, and how far it was computed; nil: nobody's.
    private var keptRows: (layered: LayeredRows, first: ForwardRow)?
    /// The places that products write to, made once: an array for each group of matrices.
    let headOutputs: [FloatRows]
    let feedForwardOutputs: [FloatRows]
    let residual: [FloatRows]
    let logitOutputs: [FloatRows]
    /// The input of a product, prepared.
    let tiles: InputTiles
    /// Nil if the model has none.
    let experts: ExpertWorkspace?
    private let rowsPerUnit: Int
    private let memory: ReservedMemory

    /// The rows that are still computed: entry i of the list owns row i of the arrays.
    private(set) var active: [ActiveRow] = []
    /// Neighbouring active rows of one sequence, at most as many as attention takes at once.
    private(set) var attentionUnits: [AttentionUnit] = []
    /// For each row of the step the place of its hidden state, and of its logits if that is below `logitCount`.
    private var outputPlaces: [Int?] = []
    private var logitCount = 0

    struct ActiveRow: Sendable {
        let token: Int
        let position: Int
        let sequence: Int
        /// Index in the step.
        let index: Int
        let wantsLogits: Bool
        let wantsHiddenState: Bool
        let embedding: Int?
    }

    struct AttentionUnit: Sendable {
        let sequence: Int
        var rows: Range<Int>
    }

    public init(
        configuration: DecoderConfiguration, maximumRows: Int, maximumLogitRows: Int
    ) throws(MemoryError) {
        guard (1...1 << 20).contains(maximumRows), (1...maximumRows).contains(maximumLogitRows) else {
            throw MemoryError(bytes: .max)
        }
        let columns =
            [
                configuration.width, configuration.width, configuration.queryWidth, configuration.keyValueWidth,
                configuration.keyValueWidth, configuration.queryWidth,
                configuration.feedForwardWidth,
                configuration.feedForwardWidth, configuration.rotary.pairs, configuration.rotary.pairs,
                configuration.width,
            ]
        let shapes =
            columns.map { (rows: maximumRows, columns: $0) }
            + [(rows: maximumLogitRows, columns: configuration.vocabularySize)]
        // Each array begins on a line of its own: 64 bytes.
        let sizes = shapes.map { ($0.rows * $0.columns + 15) / 16 * 64 }
        let memory = try ReservedMemory(byteCount: sizes.reduce(0, +))
        var offset = 0
        let arrays = zip(shapes, sizes).map { shape, size in
            defer { offset += size }
            let floats = memory.floats(offset: offset, count: shape.rows * shape.columns)
            return FloatRows(floats, rows: shape.rows, columns: shape.columns)
        }
        self.memory = memory
        self.maximumRows = maximumRows
        self.maximumLogitRows = maximumLogitRows
        (hidden, normalized, queries, keys) = (arrays[0], arrays[1], arrays[2], arrays[3])
        (values, attended, gate, up) = (arrays[4], arrays[5], arrays[6], arrays[7])
        (cosines, sines, kept, logitRows) = (arrays[8], arrays[9], arrays[10], arrays[11])
        headOutputs = [queries, keys, values]
        feedForwardOutputs = [gate, up]
        residual = [hidden]
        logitOutputs = [logitRows]
        tiles = try InputTiles(
            maximumRows: maximumRows,
            maximumColumns: max(configuration.width, configuration.queryWidth, configuration.feedForwardWidth))
        if let experts = configuration.experts {
            self.experts = try ExpertWorkspace(
                experts, width: configuration.width, feedForwardWidth: configuration.feedForwardWidth,
                maximumRows: maximumRows)
        } else {
            experts = nil
        }
        rowsPerUnit = max(
            1, KeyValueBlocks.maximumQueries * configuration.keyValueHeadCount / configuration.headCount)
        active.reserveCapacity(maximumRows)
        attentionUnits.reserveCapacity(maximumRows)
        outputPlaces.reserveCapacity(maximumRows)
    }

    /// Bytes that are reserved.
    public var byteCount: Int { memory.byteCount + tiles.byteCount + (experts?.byteCount ?? 0) }

    /// The logits of a row of the last step, `vocabularySize` of them; nil if it wanted none or was cancelled.
    public func logits(row: Int) -> UnsafeMutableBufferPointer<Float>? {
        guard let place = place(ofRow: row), place < logitCount else { return nil }
        return logitRows[place]
    }

    /// What the output matrix is multiplied with, for a row of the last step that wanted it; nil if it was cancelled.
    ///
    /// It is as wide as the model. A row that wanted logits has one too.
    public func hiddenState(row: Int) -> UnsafeMutableBufferPointer<Float>? {
        place(ofRow: row).map { normalized[$0] }
    }

    private func place(ofRow row: Int) -> Int? { outputPlaces.indices.contains(row) ? outputPlaces[row] : nil }

    // MARK: for models

    /// Begins with the rows whose first layer is computed.
    func begin(_ step: ForwardStep) {
        active.removeAll(keepingCapacity: true)
        outputPlaces.removeAll(keepingCapacity: true)
        outputPlaces.append(contentsOf: repeatElement(nil, count: step.rows.count))
        logitCount = 0
        let later = step.layered.map { $0.layers.lowerBound > 0 ? $0.count : 0 } ?? 0
        activate(0..<step.rows.count - later, of: step)
    }

    private func activate(_ indices: Range<Int>, of step: ForwardStep) {
        for index in indices {
            let row = step.rows[index]
            active.append(
                ActiveRow(
                    token: Int(row.token), position: Int(row.position), sequence: Int(row.sequence), index: index,
                    wantsLogits: row.wantsLogits, wantsHiddenState: row.wantsHiddenState,
                    embedding: row.embedding.map(Int.init)))
        }
        cutIntoUnits()
    }

    /// True if the layered rows of a step go on where those of an earlier one ended.
    func keeps(_ layered: LayeredRows, of step: ForwardStep) -> Bool {
        guard let keptRows, let first = step.rows.suffix(layered.count).first else { return false }
        return keptRows.layered.count == layered.count
            && keptRows.layered.layers.upperBound == layered.layers.lowerBound
            && keptRows.first.sequence == first.sequence && keptRows.first.position == first.position
    }

    /// Adds the layered rows, with what earlier layers made of them, and returns their places.
    func join(_ layered: LayeredRows, of step: ForwardStep) -> Range<Int> {
        let place = active.count
        activate(step.rows.count - layered.count..<step.rows.count, of: step)
        for offset in 0..<layered.count { _ = hidden[place + offset].update(fromContentsOf: kept[offset]) }
        keptRows = nil
        return place..<active.count
    }

    /// Takes the layered rows out, and keeps what was made of them for a later step.
    func leave(_ layered: LayeredRows, of step: ForwardStep) {
        let first = step.rows.count - layered.count
        let place = active.firstIndex { $0.index >= first } ?? active.count
        // Those of a cancelled sequence are gone, all together.
        guard active.count - place == layered.count else { return }
        for offset in 0..<layered.count { _ = kept[offset].update(fromContentsOf: hidden[place + offset]) }
        keptRows = (layered, step.rows[first])
        active.removeSubrange(place...)
        cutIntoUnits()
    }

    private func cutIntoUnits() {
        attentionUnits.removeAll(keepingCapacity: true)
        for (place, row) in active.enumerated() {
            let last = attentionUnits.count - 1
            if last >= 0, attentionUnits[last].sequence == row.sequence,
                attentionUnits[last].rows.count < rowsPerUnit
            {
                attentionUnits[last].rows = attentionUnits[last].rows.lowerBound..<place + 1
            } else {
                attentionUnits.append(AttentionUnit(sequence: row.sequence, rows: place..<place + 1))
            }
        }
    }

    /// Drops the rows of cancelled sequences and closes the gaps in `hidden` and the rotation tables.
    func dropCancelled(_ isCancelled: (Int32) -> Bool) {
        var kept = 0
        var lastAnswer: (sequence: Int, cancelled: Bool)?
        for (place, row) in active.enumerated() {
            if lastAnswer?.sequence != row.sequence { lastAnswer = (row.sequence, isCancelled(Int32(row.sequence))) }
            if lastAnswer?.cancelled == true { continue }
            if kept != place {
                for rows in [hidden, cosines, sines] { _ = rows[kept].update(fromContentsOf: rows[place]) }
                active[kept] = row
            }
            kept += 1
        }
        guard kept < active.count else { return }
        active.removeSubrange(kept...)
        cutIntoUnits()
    }

    /// Writes the rows that want something to `normalized`, normalised, and returns how many of them, the first ones, want
    /// logits.
    func selectOutputRows(norm: FloatVector, epsilon: Float) -> Int {
        var count = 0
        func select(_ isWanted: (ActiveRow) -> Bool) {
            for (place, row) in active.enumerated() where isWanted(row) {
                hidden.normalize(row: place, weight: norm, epsilon: epsilon, into: normalized, row: count)
                outputPlaces[row.index] = count
                count += 1
            }
        }
        select(\.wantsLogits)
        logitCount = count
        select { $0.wantsHiddenState && !$0.wantsLogits }
        return logitCount
    }
}

import EngineProtocol

/// Hidden states or logits on their way to a client: all that the engine gave, or what was wanted of them.
struct RunRows {
    var kind: TensorRequest.Kind
    /// Position of the first one in the sequence; nil where rows were made one.
    var firstRow: UInt32?
    var values: Tensor
    /// Numbers of a row before some were chosen: the model's width, or its vocabulary.
    var width: UInt32
    /// The tokens whose logits were chosen, as many for each row; empty: all.
    var tokenIDs: [Int32] = []
    var pooling = RowSelection.Pooling.none

    mutating func append(_ more: RunRows) {
        values.values += more.values.values
        values.rows += more.values.rows
        tokenIDs += more.tokenIDs
    }
}

/// What a client wants of the rows of a run.
struct RowSelection: Sendable, Equatable {
    enum Pooling: String, Sendable, CaseIterable {
        case none
        /// The last row, which has seen all others.
        case last
        /// The mean of all rows.
        case mean
    }

    var pooling = Pooling.none
    /// Rows are scaled to length 1.
    var normalizes = false
    /// So many of the largest logits of each row, largest first; 0 is all.
    var largest = 0
    /// The logits of these tokens; empty is all.
    var tokenIDs: [Int32] = []
}

/// Makes of the rows of one input what its client wants.
struct RowReducer {
    private let selection: RowSelection
    private var last: RunRows?
    private var sums: [Double] = []
    private var count: UInt32 = 0

    init(_ selection: RowSelection) { self.selection = selection }

    /// - Returns: what there is to send now; nil while rows are made one.
    mutating func take(_ chunk: TensorChunk) throws(EngineError) -> RunRows? {
        switch selection.pooling {
        case .none:
            return try reduced(
                RunRows(kind: chunk.kind, firstRow: chunk.firstRow, values: chunk.tensor, width: chunk.tensor.columns))
        case .last: keepLast(of: chunk)
        case .mean: add(chunk)
        }
        return nil
    }

    /// The one row that was made of all.
    mutating func finish() throws(EngineError) -> RunRows? {
        guard var row = last else { return nil }
        last = nil
        if selection.pooling == .mean { row.values.values = sums.map { Float($0 / Double(count)) } }
        return try reduced(row)
    }

    private mutating func keepLast(of chunk: TensorChunk) {
        guard chunk.tensor.rows > 0 else { return }
        let row = Array(chunk.tensor.values.suffix(Int(chunk.tensor.columns)))
        last = RunRows(
            kind: chunk.kind, firstRow: chunk.firstRow + chunk.tensor.rows - 1,
            values: Tensor(rows: 1, columns: chunk.tensor.columns, values: row), width: chunk.tensor.columns,
            pooling: .last)
    }

    private mutating func add(_ chunk: TensorChunk) {
        let width = Int(chunk.tensor.columns)
        guard chunk.tensor.rows > 0 else { return }
        if sums.isEmpty { sums = Array(repeating: 0, count: width) }
        guard sums.count == width else { return }
        for (index, value) in chunk.tensor.values.enumerated() { sums[index % width] += Double(value) }
        count += chunk.tensor.rows
        last = RunRows(
            kind: chunk.kind, values: Tensor(rows: 1, columns: chunk.tensor.columns, values: []),
            width: chunk.tensor.columns, pooling: .mean)
    }

    private func reduced(_ rows: RunRows) throws(EngineError) -> RunRows {
        var rows = rows
        if selection.normalizes { normalize(&rows.values) }
        if selection.largest > 0 { return chosen(rows) { Self.largest(selection.largest, of: $0) } }
        guard !selection.tokenIDs.isEmpty else { return rows }
        if let beyond = selection.tokenIDs.first(where: { UInt32(bitPattern: $0) >= rows.width }) {
            throw .invalidRequest(
                parameter: "logits_token_ids", message: "'logits_token_ids' has \(beyond); the model has \(rows.width)")
        }
        return chosen(rows) { _ in selection.tokenIDs }
    }

    private func normalize(_ tensor: inout Tensor) {
        let width = Int(tensor.columns)
        for start in stride(from: 0, to: tensor.values.count, by: max(1, width)) {
            let row = start..<min(start + width, tensor.values.count)
            let length = tensor.values[row].reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
            guard length > 0 else { continue }
            for place in row { tensor.values[place] = Float(Double(tensor.values[place]) / length) }
        }
    }

    private func chosen(_ rows: RunRows, _ choose: (ArraySlice<Float>) -> [Int32]) -> RunRows {
        var (rows, values) = (rows, [Float]())
        let width = Int(rows.width)
        for start in stride(from: 0, to: rows.values.values.count, by: max(1, width)) {
            let row = rows.values.values[start..<min(start + width, rows.values.values.count)]
            let ids = choose(row)
            rows.tokenIDs += ids
            values += ids.map { row[start + Int($0)] }
        }
        let columns = rows.values.rows == 0 ? 0 : values.count / Int(rows.values.rows)
        rows.values = Tensor(rows: rows.values.rows, columns: UInt32(columns), values: values)
        return rows
    }

    /// Places of the largest numbers of a row, largest first; of equal ones the first.
    private static func largest(_ count: Int, of row: ArraySlice<Float>) -> [Int32] {
        var best: [(value: Float, place: Int32)] = []
        for (place, value) in row.enumerated() {
            if best.count == count, let least = best.last, !(value > least.value) { continue }
            let position = best.firstIndex { value > $0.value } ?? best.count
            best.insert((value, Int32(place)), at: position)
            if best.count > count { best.removeLast() }
        }
        return best.map(\.place)
    }
}

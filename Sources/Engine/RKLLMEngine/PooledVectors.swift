import EngineProtocol

/// Inputs that are being embedded: the sum of the rows that count, then one vector for each input.
struct PooledVectors {
    private var sum: [Double] = []
    private var isMean = false
    private var width: Int?
    private var vectors: [Float] = []
    private var count = 0

    /// Adds neighbouring rows of the input.
    mutating func add(_ numbers: UnsafeBufferPointer<Float>, columns: Int, pooling: EmbedRequest.Pooling) {
        isMean = pooling == .mean
        let isFirst = sum.isEmpty
        // Another width in the middle of an input is noticed when it ends.
        if sum.count != columns { sum = Array(repeating: isFirst ? 0 : .nan, count: columns) }
        let rows = numbers.count / columns
        switch pooling {
        case .mean: for row in 0..<rows { add(numbers, row: row) }
        case .first: if isFirst { add(numbers, row: 0) }
        case .last:
            sum = Array(repeating: 0, count: columns)
            add(numbers, row: rows - 1)
        }
    }

    private mutating func add(_ numbers: UnsafeBufferPointer<Float>, row: Int) {
        for column in sum.indices { sum[column] += Double(numbers[row * sum.count + column]) }
    }

    /// Makes the input's vector; false if it is none.
    mutating func finishRow(normalizes: Bool, rows: Int) -> Bool {
        let length = sum.reduce(0) { $0 + $1 * $1 }.squareRoot()
        let divisor = normalizes && length > 0 ? length : isMean ? Double(rows) : 1
        let vector = sum.map { Float($0 / divisor) }
        guard vector.allSatisfy(\.isFinite), width == nil || width == vector.count else { return false }
        width = vector.count
        vectors += vector
        count += 1
        sum = []
        return true
    }

    var tensor: Tensor {
        Tensor(rows: UInt32(clamping: count), columns: UInt32(clamping: width ?? 0), values: vectors)
    }
}

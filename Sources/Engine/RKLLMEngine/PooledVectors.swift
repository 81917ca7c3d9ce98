import EngineProtocol

/// An input that is being embedded: the sum of the rows that count.
struct PooledVector {
    private var sum: [Double] = []
    private var isMean = false

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

    /// The vector of an input of so many rows.
    func finished(normalizes: Bool, rows: Int) -> [Float] {
        let length = sum.reduce(0) { $0 + $1 * $1 }.squareRoot()
        let divisor = normalizes && length > 0 ? length : isMean ? Double(rows) : 1
        return sum.map { Float($0 / divisor) }
    }
}

/// The vectors of a call, one for each input.
struct PooledVectors {
    private var width: Int?
    private var values: [Float] = []
    private var count = 0

    /// False if it is no vector like those before.
    mutating func append(_ vector: [Float]) -> Bool {
        guard vector.allSatisfy(\.isFinite), width == nil || width == vector.count else { return false }
        width = vector.count
        values += vector
        count += 1
        return true
    }

    var tensor: Tensor {
        Tensor(rows: UInt32(clamping: count), columns: UInt32(clamping: width ?? 0), values: values)
    }
}

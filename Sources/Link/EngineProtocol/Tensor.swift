/// Rows of numbers, as models take and give them; any value is allowed, also one that is not finite.
public struct Tensor: Sendable, Equatable {
    public var rows: UInt32
    public var columns: UInt32
    /// Row after row.
    public var values: [Float]

    /// - Parameter values: `rows` times `columns` of them; a message with another number is not sent.
    public init(rows: UInt32, columns: UInt32, values: [Float]) {
        self.rows = rows
        self.columns = columns
        self.values = values
    }

    /// What the values take on the wire.
    public var byteCount: Int { values.count * MemoryLayout<Float>.size }
}

/// Neighbouring rows of one choice.
public struct TensorChunk: Sendable, Equatable {
    /// The choice's index, as in `TokenChunk`.
    public var input: UInt32
    public var kind: TensorRequest.Kind
    /// Position of the first row in the sequence: the prompt's positions count from 0, generated tokens follow.
    public var firstRow: UInt32
    public var tensor: Tensor

    public init(input: UInt32, kind: TensorRequest.Kind, firstRow: UInt32, tensor: Tensor) {
        self.input = input
        self.kind = kind
        self.firstRow = firstRow
        self.tensor = tensor
    }
}

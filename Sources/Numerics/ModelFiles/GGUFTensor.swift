public import Tensors

/// One line of the tensor table, checked against the file's size and against its neighbours.
public struct GGUFTensor: Sendable {
    public let name: String
    public let type: TensorType
    /// Fastest-running dimension first: a matrix is `[columns, rows]`.
    public let dimensions: [Int]
    /// Index of the part that holds the data.
    public let part: Int
    /// Where the data begins, from the start of the part.
    public let offset: Int
    public let byteCount: Int

    /// Number of elements.
    public var elementCount: Int { dimensions.reduce(1, *) }
}

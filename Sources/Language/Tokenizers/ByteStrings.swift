/// Byte strings, end to end in one array: no allocation per string.
///
/// Together they must have less than 4 GiB.
public struct ByteStrings: Sendable {
    public private(set) var bytes: [UInt8] = []
    private var ends: [UInt32] = []

    public init() {}

    public init(_ strings: some Sequence<String>) {
        for string in strings { append(string.utf8) }
    }

    public var count: Int { ends.count }

    public mutating func reserveCapacity(strings: Int, bytes byteCount: Int) {
        ends.reserveCapacity(strings)
        bytes.reserveCapacity(byteCount)
    }

    public mutating func append(_ string: some Sequence<UInt8>) {
        bytes.append(contentsOf: string)
        ends.append(UInt32(bytes.count))
    }

    /// Where string `index` stands in `bytes`.
    public func range(_ index: Int) -> Range<Int> {
        (index == 0 ? 0 : Int(ends[index - 1]))..<Int(ends[index])
    }

    public subscript(index: Int) -> ArraySlice<UInt8> { bytes[range(index)] }
}

/// A checked little-endian reader over the header of one part.
///
/// Every read is compared with what is left before a byte is touched, so a hostile length can neither trap nor allocate.
struct GGUFCursor {
    let bytes: UnsafeRawBufferPointer
    let part: Int
    private(set) var offset = 0

    init(bytes: UnsafeRawBufferPointer, part: Int) {
        self.bytes = bytes
        self.part = part
    }

    var remaining: Int { bytes.count - offset }

    mutating func integer<T: FixedWidthInteger>(_ type: T.Type, _ what: String) throws(ModelFileError) -> T {
        try require(UInt64(MemoryLayout<T>.size), what)
        defer { offset += MemoryLayout<T>.size }
        return T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
    }

    /// The range of a string's bytes: a 64-bit length and then the bytes.
    mutating func string(_ what: String, limit: Int) throws(ModelFileError) -> Range<Int> {
        let start = offset
        let length = try integer(UInt64.self, what)
        guard length <= UInt64(limit) else {
            throw .limitExceeded(part: part, offset: start, what: "length of \(what)", limit: limit, value: length)
        }
        try require(length, what)
        let range = offset..<offset + Int(length)
        offset = range.upperBound
        return range
    }

    mutating func skip(_ count: UInt64, _ what: String) throws(ModelFileError) {
        try require(count, what)
        offset += Int(count)
    }

    /// UTF-8 text of `range`, or nil if it is not valid UTF-8.
    func text(_ range: Range<Int>) -> String? {
        String(validating: bytes[range], as: UTF8.self)
    }

    private func require(_ count: UInt64, _ what: String) throws(ModelFileError) {
        guard count <= UInt64(remaining) else {
            throw .truncated(part: part, offset: offset, needed: count, available: remaining, what: what)
        }
    }
}

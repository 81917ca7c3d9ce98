/// The alphabet in which byte-level vocabularies write their tokens: a printable character for each byte.
///
/// Bytes that are printable Latin-1 characters stand for themselves; the other 68, in order, are U+0100 to U+0143 (GPT-2).
enum ByteAlphabet {
    /// The character of each byte.
    static let scalars: [UInt32] = {
        var next: UInt32 = 0x100
        return (0...255).map { byte in
            if (33...126).contains(byte) || (161...172).contains(byte) || (174...255).contains(byte) {
                return UInt32(byte)
            }
            defer { next += 1 }
            return next
        }
    }()

    /// The byte of each character below U+0144; -1 for the others.
    private static let bytes: [Int16] = {
        var bytes = [Int16](repeating: -1, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { bytes[Int(scalar)] = Int16(byte) }
        return bytes
    }()

    /// Appends the bytes that `written` (UTF-8) stands for; false, with nothing appended, if it has a foreign character.
    static func decode(_ written: ArraySlice<UInt8>, into result: inout [UInt8]) -> Bool {
        let start = result.count
        var index = written.startIndex
        while index < written.endIndex {
            guard let byte = nextByte(of: written, at: &index) else {
                result.removeSubrange(start...)
                return false
            }
            result.append(byte)
        }
        return true
    }

    /// Characters of the alphabet have one or two bytes of UTF-8.
    private static func nextByte(of written: ArraySlice<UInt8>, at index: inout Int) -> UInt8? {
        var scalar = Int(written[index])
        index += 1
        if scalar >= 0x80 {
            guard scalar & 0xE0 == 0xC0, index < written.endIndex, written[index] & 0xC0 == 0x80 else { return nil }
            scalar = (scalar & 0x1F) << 6 | Int(written[index] & 0x3F)
            index += 1
        }
        return scalar < bytes.count && bytes[scalar] >= 0 ? UInt8(bytes[scalar]) : nil
    }

    static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var text = String.UnicodeScalarView()
        for byte in bytes { text.append(Unicode.Scalar(scalars[Int(byte)]) ?? "\u{FFFD}") }
        return String(text)
    }
}

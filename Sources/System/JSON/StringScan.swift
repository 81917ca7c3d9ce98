/// Looks at eight bytes of a string at once.
enum StringScan {
    /// True if no byte is a quote, a backslash, a control character or outside ASCII.
    ///
    /// Each byte's top bit is set by a subtraction that borrows exactly when the byte has the property; bytes outside
    /// ASCII show their own top bit. A borrow can run into the next byte, but only after a byte that is found anyway.
    @inline(__always)
    static func isPlainASCII(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quote = (word ^ (ones &* 0x22)) &- ones
        let backslash = (word ^ (ones &* 0x5C)) &- ones
        let control = word &- (ones &* 0x20)
        return (quote | backslash | control | word) & (ones &* 0x80) == 0
    }
}

/// Finds what is not UTF-8: overlong forms, surrogates, values above U+10FFFF, stray and missing bytes.
enum UTF8Check {
    /// Offset of the first sequence that is not well-formed; nil if all are.
    static func firstInvalid(in bytes: UnsafeRawBufferPointer) -> Int? {
        var position = 0
        while position < bytes.count {
            if position + 8 <= bytes.count,
                bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
            {
                position += 8
                continue
            }
            guard let length = sequenceLength(bytes, at: position) else { return position }
            position += length
        }
        return nil
    }

    /// Table 3-7 of the Unicode Standard: only the second byte's range depends on the first byte.
    private static func sequenceLength(_ bytes: UnsafeRawBufferPointer, at position: Int) -> Int? {
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch bytes[position] {
        case 0..<0x80: return 1
        case 0xC2...0xDF: length = 2
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: length = 3
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: length = 4
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: return nil
        }
        guard position + length <= bytes.count, second.contains(bytes[position + 1]) else { return nil }
        for index in position + 2..<max(position + length, position + 2) where bytes[index] & 0xC0 != 0x80 {
            return nil
        }
        return length
    }
}

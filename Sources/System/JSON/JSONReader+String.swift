extension JSONReader {
    /// Reads a string from its opening quote to behind its closing one.
    mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        let (hasEscapes, isASCII) = try scanString()
        let content = UnsafeRawBufferPointer(rebasing: bytes[start..<position])
        position += 1
        if !isASCII, let bad = UTF8Check.firstInvalid(in: content) { throw error(.invalidUTF8, at: start + bad) }
        if !hasEscapes { return String(decoding: content, as: UTF8.self) }
        return try unescape(content, offset: start)
    }

    /// Moves to the closing quote, eight plain bytes at a time.
    private mutating func scanString() throws(JSONError) -> (hasEscapes: Bool, isASCII: Bool) {
        var (hasEscapes, high) = (false, UInt8(0))
        while true {
            while position + 8 <= bytes.count {
                let word = bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                if !StringScan.isPlainASCII(word) { break }
                position += 8
            }
            guard position < bytes.count else { throw error(.unexpectedEnd) }
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""): return (hasEscapes, high < 0x80)
            case UInt8(ascii: "\\"):
                hasEscapes = true
                position = min(position + 2, bytes.count)
            case 0..<0x20: throw error(.controlCharacter(byte))
            default:
                high |= byte
                position += 1
            }
        }
    }

    /// Replaces the escapes of a string whose end is known: the result is never longer than the source.
    private func unescape(_ content: UnsafeRawBufferPointer, offset: Int) throws(JSONError) -> String {
        var failure: JSONError?
        let text = String(unsafeUninitializedCapacity: content.count) { target in
            var (read, written) = (0, 0)
            while read < content.count {
                let byte = content[read]
                if byte != UInt8(ascii: "\\") {
                    target[written] = byte
                    (read, written) = (read + 1, written + 1)
                    continue
                }
                switch Escape.read(content, at: read) {
                case .success(let escape):
                    for unit in UTF8.encode(escape.scalar) ?? UTF8.encodedReplacementCharacter {
                        target[written] = unit
                        written += 1
                    }
                    read += escape.length
                case .failure(let reason):
                    failure = JSONError(offset: offset + read, reason: reason)
                    return 0
                }
            }
            return written
        }
        if let failure { throw failure }
        return text
    }
}

/// One escape sequence inside a string.
private struct Escape {
    let scalar: Unicode.Scalar
    /// Bytes of the source that it takes.
    let length: Int

    /// - Parameter start: the place of the backslash.
    static func read(_ bytes: UnsafeRawBufferPointer, at start: Int) -> Result<Escape, JSONError.Reason> {
        guard start + 1 < bytes.count else { return .failure(.invalidEscape) }
        let simple: Unicode.Scalar
        switch bytes[start + 1] {
        case UInt8(ascii: "\""): simple = "\""
        case UInt8(ascii: "\\"): simple = "\\"
        case UInt8(ascii: "/"): simple = "/"
        case UInt8(ascii: "b"): simple = "\u{8}"
        case UInt8(ascii: "f"): simple = "\u{C}"
        case UInt8(ascii: "n"): simple = "\n"
        case UInt8(ascii: "r"): simple = "\r"
        case UInt8(ascii: "t"): simple = "\t"
        case UInt8(ascii: "u"): return unicode(bytes, at: start)
        default: return .failure(.invalidEscape)
        }
        return .success(Escape(scalar: simple, length: 2))
    }

    private static func unicode(_ bytes: UnsafeRawBufferPointer, at start: Int) -> Result<Escape, JSONError.Reason> {
        guard let unit = hexUnit(bytes, at: start + 2) else { return .failure(.invalidEscape) }
        if let scalar = Unicode.Scalar(unit) { return .success(Escape(scalar: scalar, length: 6)) }
        guard unit < 0xDC00, start + 8 <= bytes.count, bytes[start + 6] == UInt8(ascii: "\\"),
            bytes[start + 7] == UInt8(ascii: "u"), let low = hexUnit(bytes, at: start + 8),
            (0xDC00...0xDFFF).contains(low),
            let scalar = Unicode.Scalar(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
        else { return .failure(.loneSurrogate) }
        return .success(Escape(scalar: scalar, length: 12))
    }

    /// Four hexadecimal digits; nil if they are not there.
    private static func hexUnit(_ bytes: UnsafeRawBufferPointer, at start: Int) -> UInt32? {
        guard start + 4 <= bytes.count else { return nil }
        var unit: UInt32 = 0
        for byte in bytes[start..<start + 4] {
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: return nil
            }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }
}

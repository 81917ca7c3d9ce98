/// A set of ASCII characters, as bits.
struct ASCIISet: Sendable {
    private var low: UInt64 = 0
    private var high: UInt64 = 0

    init(_ characters: StaticString) {
        characters.withUTF8Buffer { for byte in $0 { insert(byte) } }
    }

    private mutating func insert(_ byte: UInt8) {
        if byte < 64 { low |= 1 << UInt64(byte) } else if byte < 128 { high |= 1 << UInt64(byte & 63) }
    }

    @inline(__always)
    func contains(_ byte: UInt8) -> Bool {
        let bits = byte < 64 ? low : high
        return byte < 128 && bits >> UInt64(byte & 63) & 1 == 1
    }
}

/// The character rules of RFC 9110, 9112 and 3986, where we are as strict as they allow or stricter.
enum HTTPGrammar {
    /// What names are made of.
    ///
    /// The RFC's underscore is left out: gateways that turn names into variables mix it up with the hyphen.
    static let nameCharacters = ASCIISet(
        "!#$%&'*+-.^`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
    static let methodCharacters = ASCIISet(
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
    /// Path and query without the percent sign.
    static let targetCharacters = ASCIISet(
        "-._~!$&'()*+,;=:@/?0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
    static let hostNameCharacters = ASCIISet(
        "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
    static let hostAddressCharacters = ASCIISet(":.0123456789ABCDEFabcdef")
    static let digits = ASCIISet("0123456789")
    static let hexDigits = ASCIISet("0123456789ABCDEFabcdef")

    @inline(__always)
    static func lowercased(_ byte: UInt8) -> UInt8 {
        byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte
    }

    /// Blank, tab, visible ASCII and the bytes above it: no control character.
    @inline(__always)
    static func isFieldByte(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte != 0x7F || byte == 0x09
    }

    /// An absolute path with an optional query: valid characters, whole percent escapes, no fragment.
    static func isPath(_ target: Slice<UnsafeRawBufferPointer>) -> Bool {
        guard target.first == UInt8(ascii: "/") else { return false }
        var index = target.startIndex
        while index < target.endIndex {
            if target[index] == UInt8(ascii: "%") {
                guard index + 2 < target.endIndex, hexDigits.contains(target[index + 1]),
                    hexDigits.contains(target[index + 2])
                else { return false }
                index += 3
            } else {
                guard targetCharacters.contains(target[index]) else { return false }
                index += 1
            }
        }
        return true
    }

    /// A host name, an IPv4 address or an IPv6 address in brackets, and an optional port.
    static func isAuthority(_ text: Slice<UnsafeRawBufferPointer>) -> Bool {
        guard text.count <= 261 else { return false }
        let hostEnd: Int
        if text.first == UInt8(ascii: "[") {
            guard let close = text.firstIndex(of: UInt8(ascii: "]")) else { return false }
            let address = text[(text.startIndex + 1)..<close]
            guard address.count >= 2, address.contains(UInt8(ascii: ":")),
                address.allSatisfy(hostAddressCharacters.contains)
            else { return false }
            hostEnd = close + 1
        } else {
            hostEnd = text.firstIndex(of: UInt8(ascii: ":")) ?? text.endIndex
            guard hostEnd > text.startIndex, text[..<hostEnd].allSatisfy(hostNameCharacters.contains) else {
                return false
            }
        }
        guard hostEnd < text.endIndex else { return true }
        let port = text[(hostEnd + 1)...]
        guard text[hostEnd] == UInt8(ascii: ":"), let number = decimal(port) else { return false }
        return number <= 65_535
    }

    /// Any number of `;name`, `;name=value` and `;name="value"`, without blanks between them.
    static func isChunkExtension(_ text: Slice<UnsafeRawBufferPointer>) -> Bool {
        var rest = text
        while let first = rest.popFirst() {
            guard first == UInt8(ascii: ";"), takeToken(&rest) else { return false }
            guard rest.first == UInt8(ascii: "=") else { continue }
            rest = rest.dropFirst()
            let isValue = rest.first == UInt8(ascii: "\"") ? takeQuoted(&rest) : takeToken(&rest)
            if !isValue { return false }
        }
        return true
    }

    private static func takeToken(_ rest: inout Slice<UnsafeRawBufferPointer>) -> Bool {
        let token = rest.prefix(while: methodCharacters.contains)
        rest = rest[token.endIndex...]
        return !token.isEmpty
    }

    private static func takeQuoted(_ rest: inout Slice<UnsafeRawBufferPointer>) -> Bool {
        rest = rest.dropFirst()
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""): return true
            case UInt8(ascii: "\\"): guard let escaped = rest.popFirst(), isFieldByte(escaped) else { return false }
            default: guard isFieldByte(byte) else { return false }
            }
        }
        return false
    }

    /// Digits only, at most 18 of them.
    static func decimal(_ text: Slice<UnsafeRawBufferPointer>) -> Int? {
        guard (1...18).contains(text.count), text.allSatisfy(digits.contains) else { return nil }
        return text.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }

    /// Hexadecimal digits only, at most 15 of them.
    static func hexadecimal(_ text: Slice<UnsafeRawBufferPointer>) -> Int? {
        guard (1...15).contains(text.count), text.allSatisfy(hexDigits.contains) else { return nil }
        return text.reduce(0) { value, byte in
            value << 4 | Int(byte & 0xF) + (byte > UInt8(ascii: "9") ? 9 : 0)
        }
    }

    /// Whether the bytes are the given lower-case text, in any case.
    static func matches(_ bytes: Slice<UnsafeRawBufferPointer>, _ lowerCase: StaticString) -> Bool {
        guard bytes.count == lowerCase.utf8CodeUnitCount else { return false }
        return lowerCase.withUTF8Buffer { expected in
            var index = bytes.startIndex
            for byte in expected {
                if lowercased(bytes[index]) != byte { return false }
                index += 1
            }
            return true
        }
    }

    /// Calls `body` with each part of a comma-separated list, without the blanks around it.
    static func forEachListItem(
        _ list: Slice<UnsafeRawBufferPointer>, _ body: (Slice<UnsafeRawBufferPointer>) -> Void
    ) {
        for part in list.split(separator: UInt8(ascii: ",")) { body(trimmed(part)) }
    }

    /// Without blanks and tabs at both ends.
    static func trimmed(_ text: Slice<UnsafeRawBufferPointer>) -> Slice<UnsafeRawBufferPointer> {
        var text = text
        while let first = text.first, first == 0x20 || first == 0x09 { text = text.dropFirst() }
        while let last = text.last, last == 0x20 || last == 0x09 { text = text.dropLast() }
        return text
    }
}

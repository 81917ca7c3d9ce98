/// Resolves the escapes of a string in a template, which are Python's.
enum StringLiteral {
    static func unescape(_ bytes: ArraySlice<UInt8>, line: Int) throws(TemplateError) -> String {
        guard bytes.contains(UInt8(ascii: "\\")) else { return String(decoding: bytes, as: UTF8.self) }
        var result: [UInt8] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            guard bytes[index] == UInt8(ascii: "\\"), index + 1 < bytes.endIndex else {
                result.append(bytes[index])
                index += 1
                continue
            }
            let escape = bytes[index + 1]
            index += 2
            if let simple = simpleEscapes[escape] {
                result.append(simple)
            } else if escape == UInt8(ascii: "\n") {
                continue
            } else if let length = hexLengths[escape] {
                try append(digits: bytes[index...].prefix(length), count: length, radix: 16, to: &result, line: line)
                index += length
            } else if (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(escape) {
                let digits = bytes[(index - 1)...].prefix(3).prefix {
                    $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "7")
                }
                try append(digits: digits, count: digits.count, radix: 8, to: &result, line: line)
                index = digits.endIndex
            } else {
                // Python keeps the backslash of an escape that it does not know.
                result += [UInt8(ascii: "\\"), escape]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static let simpleEscapes: [UInt8: UInt8] = [
        UInt8(ascii: "n"): 0x0A, UInt8(ascii: "t"): 0x09, UInt8(ascii: "r"): 0x0D, UInt8(ascii: "a"): 0x07,
        UInt8(ascii: "b"): 0x08, UInt8(ascii: "f"): 0x0C, UInt8(ascii: "v"): 0x0B,
        UInt8(ascii: "\\"): UInt8(ascii: "\\"), UInt8(ascii: "'"): UInt8(ascii: "'"),
        UInt8(ascii: "\""): UInt8(ascii: "\""),
    ]
    private static let hexLengths: [UInt8: Int] = [UInt8(ascii: "x"): 2, UInt8(ascii: "u"): 4, UInt8(ascii: "U"): 8]

    private static func append(
        digits: ArraySlice<UInt8>, count: Int, radix: Int, to result: inout [UInt8], line: Int
    ) throws(TemplateError) {
        guard digits.count == count, let value = UInt32(String(decoding: digits, as: UTF8.self), radix: radix),
            let scalar = Unicode.Scalar(value)
        else { throw .syntax(line: line, message: "a string has a broken escape") }
        result += Array(String(Character(scalar)).utf8)
    }
}

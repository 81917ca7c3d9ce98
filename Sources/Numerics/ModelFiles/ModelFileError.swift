/// Why a model file was refused.
///
/// Offsets are byte positions from the start of the part. Names from the file are shortened and cleaned of control
/// characters, so a description is safe to print.
public enum ModelFileError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The bytes are something else; `finding` is a sentence that says what.
    case notGGUF(part: Int, finding: String)
    /// A version or byte order that is not read.
    case unsupported(part: Int, finding: String)
    /// The file ends before what begins at `offset` is complete.
    case truncated(part: Int, offset: Int, needed: UInt64, available: Int, what: String)
    /// What stands at `offset` contradicts the format or itself.
    case malformed(part: Int, offset: Int, reason: String)
    /// What stands at `offset` asks for more than `GGUFLimits` allows.
    case limitExceeded(part: Int, offset: Int, what: String, limit: Int, value: UInt64)
    /// The parts do not make one model.
    case split(reason: String)

    public var description: String {
        switch self {
        case .notGGUF(let part, let finding), .unsupported(let part, let finding):
            "part \(part + 1): \(finding)"
        case .truncated(let part, let offset, let needed, let available, let what):
            "part \(part + 1), offset \(offset): \(what) needs \(needed) bytes, but only \(available) are left in the file"
        case .malformed(let part, let offset, let reason):
            "part \(part + 1), offset \(offset): \(reason)"
        case .limitExceeded(let part, let offset, let what, let limit, let value):
            "part \(part + 1), offset \(offset): \(what) is \(value), the limit is \(limit)"
        case .split(let reason):
            "split model: \(reason)"
        }
    }
}

/// A name from a hostile file, made safe to print: at most 80 characters, control characters escaped.
func printable(_ name: String) -> String {
    var result = "\""
    for (index, scalar) in name.unicodeScalars.enumerated() {
        if index == 80 {
            result += "…"
            break
        }
        if scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) {
            result += "\\u{" + String(scalar.value, radix: 16) + "}"
        } else {
            result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}

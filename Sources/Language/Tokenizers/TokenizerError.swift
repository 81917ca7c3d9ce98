/// Why a tokenizer cannot be made, or a text not be encoded.
///
/// Descriptions name metadata keys, indices and numbers, never a text that was to be encoded.
public enum TokenizerError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Metadata that every tokenizer of this kind needs.
    case missing(key: String)
    /// Metadata of another type than the format asks for.
    case wrongType(key: String, expected: String)
    /// Metadata that contradicts itself, such as an id that names no token.
    case malformed(key: String, reason: String)
    /// Something that this tokenizer cannot do, such as an unknown pre-tokenizer.
    case unsupported(feature: String, name: String)
    case limitExceeded(what: String, limit: Int, value: Int)
    case invalidUTF8(offset: Int)
    /// The regular expression gave up; `code` is PCRE2's error number.
    case patternFailed(code: Int32, offset: Int)

    public var description: String {
        switch self {
        case .missing(let key): "the tokenizer's metadata lacks \(key)"
        case .wrongType(let key, let expected): "\(key) is not \(expected)"
        case .malformed(let key, let reason): "\(key): \(reason)"
        case .unsupported(let feature, let name): "\(feature) \"\(printable(name))\" is not supported"
        case .limitExceeded(let what, let limit, let value): "\(what) is \(value), the limit is \(limit)"
        case .invalidUTF8(let offset): "the text is not valid UTF-8 at byte \(offset)"
        case .patternFailed(let code, let offset):
            "the pre-tokenizer's pattern gave up at byte \(offset) (PCRE2 error \(code))"
        }
    }
}

/// A name from a file, made safe to print: at most 80 characters, without control characters.
private func printable(_ name: String) -> String {
    let shown = name.unicodeScalars.prefix(80).map { scalar in
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) ? "\u{FFFD}" : Character(scalar)
    }
    return String(shown)
}

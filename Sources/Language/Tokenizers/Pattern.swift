import CPCRE2

/// A regular expression over UTF-8, compiled once and used from any thread.
///
/// Compiled with Unicode properties, and to machine code where PCRE2 can; matching is bounded by the limits.
final class Pattern: @unchecked Sendable {
    // Written only in init; PCRE2's compiled code may be shared between threads.
    private let code: OpaquePointer

    /// Throws `unsupported` if the expression does not compile.
    init(_ expression: String) throws(TokenizerError) {
        var errorCode: Int32 = 0
        var errorOffset = 0
        let code = Array(expression.utf8).withUnsafeBufferPointer { bytes in
            pcre2_compile_8(
                bytes.baseAddress, bytes.count, PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &errorCode,
                &errorOffset, nil)
        }
        guard let code else { throw .unsupported(feature: "pattern", name: "\(expression) (PCRE2 error \(errorCode))") }
        // Without machine code (a system may forbid it) the interpreter gives the same matches.
        pcre2_jit_compile_8(code, PCRE2_JIT_COMPLETE)
        self.code = code
    }

    deinit { pcre2_code_free_8(code) }

    /// The Unicode version of PCRE2's character properties, such as "14.0.0".
    static let unicodeVersion: String = {
        let needed = pcre2_config_8(UInt32(PCRE2_CONFIG_UNICODE_VERSION), nil)
        guard needed > 0 else { return "unknown" }
        var text = [UInt8](repeating: 0, count: Int(needed))
        _ = text.withUnsafeMutableBytes { pcre2_config_8(UInt32(PCRE2_CONFIG_UNICODE_VERSION), $0.baseAddress) }
        return String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
    }()

    /// The first match in a text that begins at `start` or later; the text before `start` is only looked back at.
    ///
    /// `text` must be valid UTF-8, and `start` the begin of a character.
    func firstMatch(
        in text: UnsafeBufferPointer<UInt8>, from start: Int, with matcher: borrowing Matcher
    ) throws(TokenizerError) -> Range<Int>? {
        let result = pcre2_match_8(
            code, text.baseAddress, text.count, start, PCRE2_NO_UTF_CHECK, matcher.data, matcher.context)
        if result == PCRE2_ERROR_NOMATCH { return nil }
        guard result >= 0, let vector = pcre2_get_ovector_pointer_8(matcher.data) else {
            throw .patternFailed(code: result, offset: start)
        }
        return vector[0]..<vector[1]
    }
}

/// The working memory of matches on one thread.
struct Matcher: ~Copyable {
    fileprivate let data: OpaquePointer
    fileprivate let context: OpaquePointer

    init(limits: TokenizerLimits) throws(TokenizerError) {
        guard let data = pcre2_match_data_create_8(1, nil) else {
            throw .patternFailed(code: PCRE2_ERROR_NOMEMORY, offset: 0)
        }
        guard let context = pcre2_match_context_create_8(nil) else {
            pcre2_match_data_free_8(data)
            throw .patternFailed(code: PCRE2_ERROR_NOMEMORY, offset: 0)
        }
        pcre2_set_match_limit_8(context, limits.patternSteps)
        pcre2_set_heap_limit_8(context, limits.patternKibibytes)
        self.data = data
        self.context = context
    }

    deinit {
        pcre2_match_context_free_8(context)
        pcre2_match_data_free_8(data)
    }
}

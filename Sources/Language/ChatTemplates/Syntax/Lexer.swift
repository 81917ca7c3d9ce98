/// Cuts a template into text and tags, and the tags into words.
///
/// White space follows Jinja with `trim_blocks` and `lstrip_blocks` on, as chat templates are written for: a block tag
/// takes the newline after it and the blanks before it on its line; `-` takes all white space on its side, `+` none.
/// One newline at the end of the source is dropped.
struct Lexer {
    private enum Tag {
        case variable
        case block
        case comment
    }

    private let source: [UInt8]
    private var position = 0
    private var line = 1
    /// True when the text that comes next begins a line.
    private var isLineStart = true
    private var tokens: [Token] = []

    init(source text: String, limits: TemplateLimits) throws(TemplateError) {
        let bytes = Array(text.utf8)
        guard bytes.count <= limits.sourceBytes else {
            throw .limitExceeded(limit: "bytes of source", maximum: limits.sourceBytes, line: 1)
        }
        source = Self.normalisingNewlines(bytes)
    }

    static func tokenize(_ text: String, limits: TemplateLimits) throws(TemplateError) -> [Token] {
        var lexer = try Lexer(source: text, limits: limits)
        while lexer.position < lexer.source.count {
            try lexer.readTextAndTag()
        }
        lexer.emit(.end)
        return lexer.tokens
    }

    private static func normalisingNewlines(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var wasCarriageReturn = false
        for byte in bytes {
            if byte == UInt8(ascii: "\n"), wasCarriageReturn {
                wasCarriageReturn = false
                continue
            }
            wasCarriageReturn = byte == UInt8(ascii: "\r")
            result.append(wasCarriageReturn ? UInt8(ascii: "\n") : byte)
        }
        if result.last == UInt8(ascii: "\n") { result.removeLast() }
        return result
    }

    // MARK: Text and tags

    private mutating func readTextAndTag() throws(TemplateError) {
        guard let (start, tag) = nextTag() else {
            emitText(source[position...])
            position = source.count
            return
        }
        var text = source[position..<start]
        var next = start + 2
        let sign = next < source.count ? source[next] : 0
        let hasSign = sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+")
        if hasSign { next += 1 }
        strip(&text, sign: hasSign ? sign : 0, before: tag)
        advance(over: source[position..<next], emitting: text)
        switch tag {
        case .comment: try skipComment()
        case .variable: try readVariable()
        case .block: try readRaw() ? () : readBlock()
        }
    }

    private func nextTag() -> (start: Int, tag: Tag)? {
        var index = position
        while index + 1 < source.count {
            if source[index] == UInt8(ascii: "{") {
                switch source[index + 1] {
                case UInt8(ascii: "{"): return (index, .variable)
                case UInt8(ascii: "%"): return (index, .block)
                case UInt8(ascii: "#"): return (index, .comment)
                default: break
                }
            }
            index += 1
        }
        return nil
    }

    private func strip(_ text: inout ArraySlice<UInt8>, sign: UInt8, before tag: Tag) {
        if sign == UInt8(ascii: "-") {
            let kept = PythonText.strip(String(decoding: text, as: UTF8.self), left: false, right: true)
            text = text.prefix(kept.utf8.count)
        } else if sign == 0, tag != .variable {
            let lastNewline = text.lastIndex(of: UInt8(ascii: "\n"))
            guard isLineStart || lastNewline != nil else { return }
            let lineStart = lastNewline.map { $0 + 1 } ?? text.startIndex
            let indent = String(decoding: text[lineStart...], as: UTF8.self)
            if indent.unicodeScalars.allSatisfy(PythonText.isSpace) { text = text[..<lineStart] }
        }
    }

    private mutating func emitText(_ text: ArraySlice<UInt8>) {
        if !text.isEmpty { emit(.data(String(decoding: text, as: UTF8.self))) }
    }

    private mutating func emit(_ kind: Token.Kind) {
        tokens.append(Token(kind: kind, line: line))
    }

    private mutating func advance(over bytes: ArraySlice<UInt8>, emitting text: ArraySlice<UInt8> = []) {
        emitText(text)
        for byte in bytes where byte == UInt8(ascii: "\n") { line += 1 }
        position = bytes.endIndex
    }

    /// Passes a tag's end and what its sign or `trim_blocks` takes with it.
    private mutating func passEnd(length: Int, takesAllSpace: Bool, takesNewline: Bool) {
        var end = position + length
        if takesAllSpace {
            let rest = String(decoding: source[end...].prefix { $0 <= 0x20 || $0 >= 0x80 }, as: UTF8.self)
            end += rest.utf8.count - PythonText.strip(rest, left: true, right: false).utf8.count
        } else if takesNewline, end < source.count, source[end] == UInt8(ascii: "\n") {
            end += 1
        }
        isLineStart = source[end - 1] == UInt8(ascii: "\n")
        advance(over: source[position..<end])
    }

    private func has(_ text: StaticString, at index: Int) -> Bool {
        let bytes = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        return source[min(index, source.count)...].starts(with: bytes)
    }

    private mutating func skipComment() throws(TemplateError) {
        var index = position
        while index < source.count, !has("#}", at: index) { index += 1 }
        guard index < source.count else { throw .syntax(line: line, message: "a comment does not end") }
        let sign = index > position ? source[index - 1] : 0
        advance(over: source[position..<index])
        passEnd(length: 2, takesAllSpace: sign == UInt8(ascii: "-"), takesNewline: sign != UInt8(ascii: "+"))
    }

    /// Reads `raw %} … {% endraw %}`; false when the block is another one.
    private mutating func readRaw() throws(TemplateError) -> Bool {
        guard let begin = keywordEnd("raw", from: position) else { return false }
        advance(over: source[position..<begin.end])
        passEnd(length: begin.sign == 0 ? 2 : 3, takesAllSpace: begin.sign == UInt8(ascii: "-"), takesNewline: false)
        for index in position..<source.count where has("{%", at: index) {
            var after = index + 2
            let sign = after < source.count ? source[after] : 0
            let hasSign = sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+")
            if hasSign { after += 1 }
            guard let end = keywordEnd("endraw", from: after) else { continue }
            var text = source[position..<index]
            strip(&text, sign: hasSign ? sign : 0, before: .block)
            advance(over: source[position..<end.end], emitting: text)
            passEnd(
                length: end.sign == 0 ? 2 : 3, takesAllSpace: end.sign == UInt8(ascii: "-"),
                takesNewline: end.sign == 0)
            return true
        }
        throw .syntax(line: line, message: "a raw block does not end")
    }

    /// Where the tag's end begins if the tag holds `keyword` alone, and the sign before that end.
    private func keywordEnd(_ keyword: StaticString, from start: Int) -> (end: Int, sign: UInt8)? {
        var index = skippingSpace(from: start)
        guard has(keyword, at: index) else { return nil }
        index = skippingSpace(from: index + keyword.utf8CodeUnitCount)
        if has("%}", at: index) { return (index, 0) }
        if has("-%}", at: index) || has("+%}", at: index) { return (index, source[index]) }
        return nil
    }

    private func skippingSpace(from start: Int) -> Int {
        var index = start
        while index < source.count, Self.isBlank(source[index]) { index += 1 }
        return index
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == 0x20 || (0x09...0x0D).contains(byte) || (0x1C...0x1F).contains(byte)
    }

    // MARK: Inside a tag

    private mutating func readVariable() throws(TemplateError) {
        emit(.variableBegin)
        try readWords { lexer in
            if lexer.has("-}}", at: lexer.position) { return (3, true, false) }
            return lexer.has("}}", at: lexer.position) ? (2, false, false) : nil
        }
    }

    private mutating func readBlock() throws(TemplateError) {
        emit(.blockBegin)
        try readWords { lexer in
            if lexer.has("-%}", at: lexer.position) { return (3, true, false) }
            if lexer.has("+%}", at: lexer.position) { return (3, false, false) }
            return lexer.has("%}", at: lexer.position) ? (2, false, true) : nil
        }
    }

    private typealias TagEnd = (length: Int, takesAllSpace: Bool, takesNewline: Bool)

    private mutating func readWords(until end: (Lexer) -> TagEnd?) throws(TemplateError) {
        let isBlock = tokens.last?.kind == .blockBegin
        let firstLine = line
        // While a bracket is open, `}}` closes two maps and not the tag.
        var expectedClosers: [Token.Symbol] = []
        while position < source.count {
            if expectedClosers.isEmpty, let end = end(self) {
                emit(isBlock ? .blockEnd : .variableEnd)
                return passEnd(
                    length: end.length, takesAllSpace: end.takesAllSpace, takesNewline: end.takesNewline)
            }
            let blankEnd = skippingSpace(from: position)
            if blankEnd > position {
                advance(over: source[position..<blankEnd])
            } else {
                try readWord(&expectedClosers)
            }
        }
        throw .syntax(line: firstLine, message: "a tag does not end")
    }

    private mutating func readWord(_ expectedClosers: inout [Token.Symbol]) throws(TemplateError) {
        let byte = source[position]
        if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") { return try readString(quote: byte) }
        if Self.isDigit(byte) { return readNumber() }
        if Self.isWordByte(byte) {
            let word = source[position...].prefix(while: Self.isWordByte)
            emit(.name(String(decoding: word, as: UTF8.self)))
            position = word.endIndex
            return
        }
        for (bytes, symbol) in Token.Symbol.byBytes where source[position...].starts(with: bytes) {
            if let closer = symbol.closer { expectedClosers.append(closer) }
            if [.rightParenthesis, .rightBracket, .rightBrace].contains(symbol),
                expectedClosers.popLast() != symbol
            {
                throw .syntax(line: line, message: "unexpected '\(symbol.rawValue)'")
            }
            emit(.symbol(symbol))
            position += bytes.count
            return
        }
        throw .syntax(line: line, message: "unexpected character U+\(String(byte, radix: 16, uppercase: true))")
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        byte >= 0x80 || byte == UInt8(ascii: "_") || isDigit(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private mutating func readNumber() {
        var end = position
        var isFloat = false
        func skipDigits() {
            while end < source.count, Self.isDigit(source[end]) || source[end] == UInt8(ascii: "_") { end += 1 }
        }
        func byte(_ offset: Int) -> UInt8 { end + offset < source.count ? source[end + offset] : 0 }
        if source[position] == UInt8(ascii: "0"), "xXoObB".utf8.contains(byte(1)) {
            end += 2
            while end < source.count, Self.isWordByte(source[end]) { end += 1 }
        } else {
            skipDigits()
            if byte(0) == UInt8(ascii: "."), Self.isDigit(byte(1)) {
                isFloat = true
                end += 1
                skipDigits()
            }
            if byte(0) | 0x20 == UInt8(ascii: "e") {
                let signed = byte(1) == UInt8(ascii: "+") || byte(1) == UInt8(ascii: "-")
                if Self.isDigit(byte(signed ? 2 : 1)) {
                    isFloat = true
                    end += signed ? 3 : 2
                    skipDigits()
                }
            }
        }
        let text = String(decoding: source[position..<end].filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
        emit(isFloat ? .float(text) : .integer(text))
        position = end
    }

    private mutating func readString(quote: UInt8) throws(TemplateError) {
        var end = position + 1
        while end < source.count, source[end] != quote {
            end += source[end] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard end < source.count else { throw .syntax(line: line, message: "a string does not end") }
        emit(.string(try StringLiteral.unescape(source[(position + 1)..<end], line: line)))
        advance(over: source[position...end])
    }
}

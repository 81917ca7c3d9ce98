/// The content of lines whose length and end have been checked.
extension HTTPParser {
    /// `METHOD SP target SP HTTP/1.1`, with exactly one blank at each place.
    mutating func parseRequestLine(_ line: Range<Int>) throws(HTTPRefusal) {
        let parsed = try text.span.withUnsafeBytes {
            buffer throws(HTTPRefusal) in try RequestLine(buffer[line])
        }
        method = parsed.method
        path = parsed.path
        query = parsed.query
        version = parsed.version
        fields.reserveCapacity(12)
    }

    /// `name: value`, with blanks around the value only.
    mutating func parseField(_ line: Range<Int>, isTrailer: Bool) throws(HTTPRefusal) {
        fieldCount += 1
        guard fieldCount <= limits.headerFields else {
            throw HTTPRefusal(
                status: 431, code: .headersTooLarge,
                message: "There are more than \(limits.headerFields) header fields.")
        }
        var framing = framing
        let field = try text.span.withUnsafeBytes { buffer throws(HTTPRefusal) in
            let field = try HTTPParser.splitField(buffer[line])
            let name = buffer[Int(field.nameStart)..<Int(field.nameEnd)]
            let value = buffer[Int(field.valueStart)..<Int(field.valueEnd)]
            guard isTrailer else {
                try framing.take(name: name, value: value)
                return field
            }
            if HTTPFraming.isForbiddenInTrailers(name) {
                let text = String(decoding: name, as: UTF8.self).lowercased()
                throw .bad(.forbiddenTrailer, "The \(text) field may not stand in trailers.", header: text)
            }
            return field
        }
        self.framing = framing
        guard !isTrailer else { return }
        text.withUnsafeMutableBufferPointer { bytes in
            for index in Int(field.nameStart)..<Int(field.nameEnd) {
                bytes[index] = HTTPGrammar.lowercased(bytes[index])
            }
        }
        fields.append(field)
    }

    private static func splitField(
        _ line: Slice<UnsafeRawBufferPointer>
    ) throws(HTTPRefusal) -> HTTPHeaderBlock.Field {
        if line.first == 0x20 || line.first == 0x09 {
            throw .bad(.malformedHeader, "A header field is folded over several lines.")
        }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
            throw .bad(.malformedHeader, "A header line has no colon.")
        }
        let name = line[..<colon]
        guard !name.isEmpty, name.allSatisfy(HTTPGrammar.nameCharacters.contains) else {
            throw .bad(
                .malformedHeader, "The name of a header field is empty or holds a character that is not allowed.")
        }
        let value = line[(colon + 1)...]
        guard value.allSatisfy(HTTPGrammar.isFieldByte) else {
            throw .bad(
                .malformedHeader, "The value of a header field holds a control character.",
                header: String(decoding: name, as: UTF8.self).lowercased())
        }
        let trimmed = HTTPGrammar.trimmed(value)
        return HTTPHeaderBlock.Field(
            nameStart: UInt32(line.startIndex), nameEnd: UInt32(colon), valueStart: UInt32(trimmed.startIndex),
            valueEnd: UInt32(trimmed.endIndex))
    }

    /// Hexadecimal digits and, each after a semicolon, extensions.
    func parseChunkSize(_ line: Range<Int>) throws(HTTPRefusal) -> (size: Int, extensionBytes: Int) {
        try text.span.withUnsafeBytes { buffer throws(HTTPRefusal) in
            let line = buffer[line]
            let end = line.firstIndex(of: UInt8(ascii: ";")) ?? line.endIndex
            guard let size = HTTPGrammar.hexadecimal(line[..<end]) else {
                throw .bad(.malformedChunk, "The size of a chunk is no hexadecimal number.")
            }
            guard HTTPGrammar.isChunkExtension(line[end...]) else {
                throw .bad(.malformedChunk, "A chunk extension is malformed.")
            }
            return (size, line.endIndex - end)
        }
    }
}

/// The three parts of a request line.
private struct RequestLine {
    let method: String
    let path: String
    let query: String?
    let version: HTTPVersion

    init(_ line: Slice<UnsafeRawBufferPointer>) throws(HTTPRefusal) {
        let blank = UInt8(ascii: " ")
        guard let first = line.firstIndex(of: blank), let last = line.lastIndex(of: blank), first < last else {
            throw .bad(.malformedRequestLine, "A request line is a method, a path and a version.")
        }
        let (method, target) = (line[..<first], line[(first + 1)..<last])
        guard !method.isEmpty, method.allSatisfy(HTTPGrammar.methodCharacters.contains) else {
            throw .bad(.malformedRequestLine, "The name of the method holds a character that is not allowed.")
        }
        version = try RequestLine.version(line[(last + 1)...])
        let isAsterisk = HTTPGrammar.matches(target, "*") && method.elementsEqual("OPTIONS".utf8)
        guard isAsterisk || HTTPGrammar.isPath(target) else {
            throw .bad(.invalidTarget, "The target of a request is a path that starts with a slash.")
        }
        self.method = String(decoding: method, as: UTF8.self)
        let mark = target.firstIndex(of: UInt8(ascii: "?"))
        path = String(decoding: target[..<(mark ?? target.endIndex)], as: UTF8.self)
        query = mark.map { String(decoding: target[($0 + 1)...], as: UTF8.self) }
    }

    private static func version(_ text: Slice<UnsafeRawBufferPointer>) throws(HTTPRefusal) -> HTTPVersion {
        if text.elementsEqual("HTTP/1.1".utf8) { return .oneOne }
        if text.elementsEqual("HTTP/1.0".utf8) { return .oneZero }
        let digits = HTTPGrammar.digits
        let (start, end) = (text.startIndex, text.endIndex)
        guard text.count == 8, text[..<(start + 5)].elementsEqual("HTTP/".utf8), digits.contains(text[start + 5]),
            text[start + 6] == UInt8(ascii: "."), digits.contains(text[end - 1])
        else { throw .bad(.malformedRequestLine, "A request line ends with HTTP/1.1 or HTTP/1.0.") }
        throw HTTPRefusal(
            status: 505, code: .unsupportedVersion, message: "The versions that are spoken here are HTTP/1.1 and 1.0.")
    }
}

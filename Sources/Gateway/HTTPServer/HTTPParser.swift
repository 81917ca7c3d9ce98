import Glibc

/// Reads requests from bytes that come in pieces: strict, bounded, without any input or output of its own.
///
/// The result does not depend on how the bytes are cut. The order of checks within a line makes that so: length first,
/// then the line's end, then its content.
///
/// States: request line → header fields → (body of a known length, or chunk size → chunk → … → trailers) → request line.
/// After a refusal nothing more is read.
public struct HTTPParser: Sendable {
    public enum Event: Sendable {
        /// The header fields are complete and a body follows; a client that expects it waits for "100 Continue".
        case headComplete(expectsContinue: Bool)
        case request(HTTPRequest)
        case refused(HTTPRefusal)
    }

    /// What the parser is waiting for: each has its own time limit.
    public enum Phase: Sendable, Equatable {
        case idle
        case head
        case body
        case refused
    }

    private enum State: Sendable {
        case requestLine
        case fields
        case body(remaining: Int)
        case chunkSize
        case chunk(remaining: Int)
        case chunkEnd(sawReturn: Bool)
        case trailers
        case refused
    }

    private enum Step {
        case more
        case next
        case event(Event)
    }

    let limits: HTTPLimits
    let peer: HTTPPeer
    private var state = State.requestLine
    /// The lines that were read: the whole head, then one line at a time.
    var text: [UInt8] = []
    private var lineStart = 0
    private var blankLines = 0

    var method = ""
    var path = ""
    var query: String?
    var version = HTTPVersion.oneOne
    var fields: [HTTPHeaderBlock.Field] = []
    var fieldCount = 0
    var fieldBytes = 0
    var framing = HTTPFraming()
    private var block = HTTPHeaderBlock(bytes: [], fields: [])
    private var extensionBytes = 0
    private var body: [UInt8] = []

    public init(limits: HTTPLimits = HTTPLimits(), peer: HTTPPeer = .unix) {
        self.limits = limits
        self.peer = peer
    }

    public var phase: Phase {
        switch state {
        case .requestLine: text.isEmpty && blankLines == 0 ? .idle : .head
        case .fields: .head
        case .body, .chunkSize, .chunk, .chunkEnd, .trailers: .body
        case .refused: .refused
        }
    }

    /// Bytes of the body that were read so far.
    public var bodyBytesHeld: Int { body.count }

    /// Reads until the next event or the end of the bytes, whichever comes first.
    ///
    /// The caller hands in what was not used again, together with what came since.
    public mutating func consume(_ bytes: UnsafeRawBufferPointer) -> (used: Int, event: Event?) {
        var offset = 0
        do throws(HTTPRefusal) {
            while true {
                switch try step(bytes, &offset) {
                case .more: return (offset, nil)
                case .next: continue
                case .event(let event): return (offset, event)
                }
            }
        } catch {
            state = .refused
            text = []
            body = []
            return (offset, .refused(error))
        }
    }

    private mutating func step(
        _ bytes: UnsafeRawBufferPointer, _ offset: inout Int
    ) throws(HTTPRefusal) -> Step {
        switch state {
        case .requestLine: try stepRequestLine(bytes, &offset)
        case .fields: try stepField(bytes, &offset)
        case .body(let remaining): stepBody(bytes, &offset, remaining)
        case .chunkSize: try stepChunkSize(bytes, &offset)
        case .chunk(let remaining): stepChunk(bytes, &offset, remaining)
        case .chunkEnd(let sawReturn): try stepChunkEnd(bytes, &offset, sawReturn)
        case .trailers: try stepTrailer(bytes, &offset)
        case .refused: .more
        }
    }
}

// MARK: - Lines

extension HTTPParser {
    /// Adds bytes to the current line; returns its range in `text`, without the line's end, when it is complete.
    private mutating func collectLine(
        _ bytes: UnsafeRawBufferPointer, _ offset: inout Int, limit: Int, _ tooLong: () -> HTTPRefusal
    ) throws(HTTPRefusal) -> Range<Int>? {
        guard let start = bytes.baseAddress, offset < bytes.count else { return nil }
        let feed = memchr(start + offset, 0x0A, bytes.count - offset)
        let available = feed.map { UnsafeRawPointer($0) - start + 1 - offset } ?? (bytes.count - offset)
        // Two bytes over the limit are the line's end, or proof that the line is too long.
        let taken = min(available, limit + 2 - (text.count - lineStart))
        text.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + taken)]))
        offset += taken
        let count = text.count - lineStart
        guard text[text.count - 1] == 0x0A else {
            if count >= limit + 2 { throw tooLong() }
            return nil
        }
        let hasReturn = count >= 2 && text[text.count - 2] == 0x0D
        let end = text.count - (hasReturn ? 2 : 1)
        if end - lineStart > limit { throw tooLong() }
        if !hasReturn { throw .bad(.malformedLineEnd, "A line does not end with carriage return and line feed.") }
        let line = lineStart..<end
        lineStart = text.count
        return line
    }

    private mutating func forgetLines() {
        text.removeAll(keepingCapacity: true)
        lineStart = 0
    }
}

// MARK: - Head

extension HTTPParser {
    private mutating func stepRequestLine(
        _ bytes: UnsafeRawBufferPointer, _ offset: inout Int
    ) throws(HTTPRefusal) -> Step {
        if text.isEmpty, offset < bytes.count { try checkFirstByte(bytes[offset]) }
        let limit = limits.requestLineBytes
        let line = try collectLine(bytes, &offset, limit: limit) {
            HTTPRefusal(
                status: 414, code: .requestLineTooLong, message: "The request line is longer than \(limit) bytes.")
        }
        guard let line else { return .more }
        if line.isEmpty {
            blankLines += 1
            guard blankLines <= limits.blankLines else {
                throw .bad(.malformedRequestLine, "There are empty lines instead of a request line.")
            }
            forgetLines()
            return .next
        }
        try parseRequestLine(line)
        state = .fields
        return .next
    }

    /// Says at once what is no HTTP at all, such as the first byte of TLS, instead of waiting for a line.
    private func checkFirstByte(_ byte: UInt8) throws(HTTPRefusal) {
        if byte == 0x16 { throw .bad(.malformedRequestLine, "This port speaks plain HTTP, not TLS.") }
        guard HTTPGrammar.methodCharacters.contains(byte) || byte == 0x0D || byte == 0x0A else {
            throw .bad(.malformedRequestLine, "A request starts with the name of a method.")
        }
    }

    private mutating func stepField(
        _ bytes: UnsafeRawBufferPointer, _ offset: inout Int
    ) throws(HTTPRefusal) -> Step {
        guard let line = try collectField(bytes, &offset) else { return .more }
        guard line.isEmpty else {
            try parseField(line, isTrailer: false)
            return .next
        }
        let framed = try framing.body(version: version, limits: limits)
        block = HTTPHeaderBlock(bytes: text, fields: fields)
        text = []
        fields = []
        lineStart = 0
        switch framed {
        case .none:
            return .event(.request(finish()))
        case .length(let length):
            body.reserveCapacity(min(length, 1 << 20))
            state = .body(remaining: length)
        case .chunked:
            state = .chunkSize
        }
        return .event(.headComplete(expectsContinue: framing.expectsContinue && version == .oneOne))
    }

    /// A line of the header or trailer section, within the limits of one field and of all.
    private mutating func collectField(
        _ bytes: UnsafeRawBufferPointer, _ offset: inout Int
    ) throws(HTTPRefusal) -> Range<Int>? {
        let own = limits.headerFieldBytes
        let rest = max(0, limits.headerBytes - fieldBytes - 2)
        let (all, limits) = (limits.headerBytes, min(own, rest))
        let line = try collectLine(bytes, &offset, limit: limits) {
            HTTPRefusal(
                status: 431, code: .headersTooLarge,
                message: own <= rest
                    ? "A header field is longer than \(own) bytes."
                    : "The header fields are longer than \(all) bytes together.")
        }
        if let line { fieldBytes += line.count + 2 }
        return line
    }
}

// MARK: - Body

extension HTTPParser {
    private mutating func stepBody(
        _ bytes: UnsafeRawBufferPointer, _ offset: inout Int, _ remaining: Int
    ) -> Step {
        let rest = remaining - takeBody(bytes, &offset, remaining)
        guard rest == 0 else {
            state = .body(remaining: rest)
            return .more
        }
        return .event(.request(finish()))
    }

    private mutating func takeBody(_ bytes: UnsafeRawBufferPointer, _ offset: inout Int, _ most: Int) -> Int {
        let count = min(most, bytes.count - offset)
        body.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)]))
        offset += count
        return count
    }

    private mutating func stepChunkSize(
        _ bytes: UnsafeRawBufferPointer, _ offset: inout Int
    ) throws(HTTPRefusal) -> Step {
        let line = try collectLine(bytes, &offset, limit: 15 + limits.chunkExtensionBytes) {
            .bad(.malformedChunk, "The line with a chunk's size is too long.")
        }
        guard let line else { return .more }
        let (size, extensionCount) = try parseChunkSize(line)
        forgetLines()
        extensionBytes += extensionCount
        guard extensionBytes <= limits.chunkExtensionsBytes else {
            throw .bad(.malformedChunk, "The chunk extensions are longer than \(limits.chunkExtensionsBytes) bytes.")
        }
        guard size <= limits.bodyBytes - body.count else { throw .bodyTooLarge(limit: limits.bodyBytes) }
        state = size == 0 ? .trailers : .chunk(remaining: size)
        return .next
    }

    private mutating func stepChunk(
        _ bytes: UnsafeRawBufferPointer, _ offset: inout Int, _ remaining: Int
    ) -> Step {
        let rest = remaining - takeBody(bytes, &offset, remaining)
        state = rest == 0 ? .chunkEnd(sawReturn: false) : .chunk(remaining: rest)
        return rest == 0 ? .next : .more
    }

    private mutating func stepChunkEnd(
        _ bytes: UnsafeRawBufferPointer, _ offset: inout Int, _ sawReturn: Bool
    ) throws(HTTPRefusal) -> Step {
        guard offset < bytes.count else { return .more }
        guard bytes[offset] == (sawReturn ? 0x0A : 0x0D) else {
            throw .bad(.malformedChunk, "A chunk does not end where its size says.")
        }
        offset += 1
        state = sawReturn ? .chunkSize : .chunkEnd(sawReturn: true)
        return .next
    }

    private mutating func stepTrailer(
        _ bytes: UnsafeRawBufferPointer, _ offset: inout Int
    ) throws(HTTPRefusal) -> Step {
        guard let line = try collectField(bytes, &offset) else { return .more }
        guard line.isEmpty else {
            // Trailers are checked and thrown away: nothing here is made of them.
            try parseField(line, isTrailer: true)
            forgetLines()
            return .next
        }
        return .event(.request(finish()))
    }

    /// Hands the request out and gets ready for the next one.
    private mutating func finish() -> HTTPRequest {
        let request = HTTPRequest(
            method: method, path: path, query: query, version: version,
            keepsAlive: framing.keepsAlive(version: version), block: block, body: body, peer: peer)
        self = HTTPParser(limits: limits, peer: peer)
        return request
    }
}

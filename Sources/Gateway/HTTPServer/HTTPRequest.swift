/// One header field.
///
/// Names of requests are lower-case.
public struct HTTPHeader: Sendable, Equatable {
    public let name: String
    public let value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

public enum HTTPVersion: Sendable, Equatable {
    case oneZero
    case oneOne
}

/// Who sent a request.
public enum HTTPPeer: Sendable, Equatable {
    /// A numeric address.
    case tcp(address: String, isLoopback: Bool)
    case unix
}

/// A complete, checked request.
public struct HTTPRequest: Sendable {
    public typealias Peer = HTTPPeer

    public let method: String
    /// The target up to the question mark, as it was sent: `/…`, or `*` for OPTIONS.
    public let path: String
    /// What follows the question mark, as it was sent; nil without one.
    public let query: String?
    public let version: HTTPVersion
    public let body: [UInt8]
    public let peer: HTTPPeer
    /// Whether the client wants to use the connection again.
    public let keepsAlive: Bool
    let block: HTTPHeaderBlock

    /// The fields in their order.
    public var headers: [HTTPHeader] { block.all }

    /// The value of the first field of that name, in any case, without blanks around it.
    public func header(_ name: String) -> String? { block.first(name) }

    init(
        method: String, path: String, query: String?, version: HTTPVersion, keepsAlive: Bool, block: HTTPHeaderBlock,
        body: [UInt8], peer: HTTPPeer
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.version = version
        self.keepsAlive = keepsAlive
        self.block = block
        self.body = body
        self.peer = peer
    }

    /// A request that did not come over a connection: for tests of handlers.
    public init(
        method: String, path: String, query: String? = nil, headers: [HTTPHeader] = [], body: [UInt8] = [],
        peer: HTTPPeer = .unix
    ) {
        self.init(
            method: method, path: path, query: query, version: .oneOne, keepsAlive: true,
            block: HTTPHeaderBlock(headers), body: body, peer: peer)
    }
}

/// Header fields as ranges of the bytes that came: a name or value becomes a String only when somebody asks for it.
struct HTTPHeaderBlock: Sendable {
    struct Field: Sendable {
        var nameStart: UInt32
        var nameEnd: UInt32
        var valueStart: UInt32
        var valueEnd: UInt32
    }

    private(set) var bytes: [UInt8]
    private(set) var fields: [Field]

    init(bytes: [UInt8], fields: [Field]) {
        self.bytes = bytes
        self.fields = fields
    }

    init(_ headers: [HTTPHeader]) {
        bytes = []
        fields = []
        for header in headers {
            let nameStart = UInt32(bytes.count)
            bytes += header.name.lowercased().utf8
            let nameEnd = UInt32(bytes.count)
            bytes += header.value.utf8
            fields.append(
                Field(nameStart: nameStart, nameEnd: nameEnd, valueStart: nameEnd, valueEnd: UInt32(bytes.count)))
        }
    }

    var all: [HTTPHeader] {
        fields.map { HTTPHeader(text($0.nameStart, $0.nameEnd), text($0.valueStart, $0.valueEnd)) }
    }

    func first(_ name: String) -> String? {
        var name = name
        let field = name.withUTF8 { wanted in
            bytes.withUnsafeBufferPointer { bytes in
                fields.first { field in
                    guard Int(field.nameEnd - field.nameStart) == wanted.count else { return false }
                    let start = Int(field.nameStart)
                    return wanted.indices.allSatisfy { HTTPGrammar.lowercased(wanted[$0]) == bytes[start + $0] }
                }
            }
        }
        return field.map { text($0.valueStart, $0.valueEnd) }
    }

    private func text(_ start: UInt32, _ end: UInt32) -> String {
        String(decoding: bytes[Int(start)..<Int(end)], as: UTF8.self)
    }
}

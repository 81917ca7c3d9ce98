import JSON

/// What a client names a request; the same bytes come back with the answer.
struct RPCID: Sendable, Hashable {
    /// Its JSON text: `1` and `"1"` are different ids.
    let json: [UInt8]

    static let null = RPCID(json: Array("null".utf8))

    private init(json: [UInt8]) { self.json = json }

    /// Nil for what is no id: arrays, objects and booleans.
    init?(_ value: JSONValue) {
        switch value {
        case .string, .number, .null: json = value.serialized
        case .bool, .array, .object: return nil
        }
    }
}

/// One request that has the form of JSON-RPC 2.0.
struct RPCRequest: Sendable, Equatable {
    enum Parameters: Sendable, Equatable {
        case none
        case positional([JSONValue])
        case named(JSONObject)
    }

    /// Nil for a notification, which gets no answer, whatever becomes of it.
    var id: RPCID?
    var method: String
    var parameters: Parameters
}

/// A line, read as JSON-RPC 2.0.
enum RPCMessage: Equatable {
    /// What is no request, and the id to tell it with.
    struct Malformed: Error, Equatable {
        var id: RPCID
        var error: RPCError
    }

    typealias Element = Result<RPCRequest, Malformed>

    case single(Element)
    case batch([Element])

    init(line: [UInt8], limits: RPCLimits) {
        let bounds = JSONLimits(depth: limits.depth, bytes: limits.messageBytes, values: limits.values)
        let value: JSONValue
        do {
            value = try JSONValue.parse(line, limits: bounds)
        } catch {
            self = .malformed(.parse(error))
            return
        }
        guard case .array(let elements) = value else {
            self = .single(Self.element(value))
            return
        }
        if elements.isEmpty {
            self = .malformed(.invalidRequest("a batch holds at least one request"))
        } else if elements.count > limits.batchRequests {
            self = .malformed(
                .invalidRequest(
                    "a batch holds at most \(limits.batchRequests) requests, not \(elements.count)"))
        } else {
            self = .batch(elements.map(Self.element))
        }
    }

    private static func malformed(_ error: RPCError) -> RPCMessage {
        .single(.failure(Malformed(id: .null, error: error)))
    }

    private static func element(_ value: JSONValue) -> Element {
        Result { () throws(Malformed) in try request(value) }
    }

    private static func request(_ value: JSONValue) throws(Malformed) -> RPCRequest {
        guard let object = value.objectValue else {
            throw Malformed(id: .null, error: .invalidRequest("a request is an object, not \(value.typeName)"))
        }
        let id = object["id"].map(RPCID.init)
        func refusal(_ message: String) -> Malformed {
            Malformed(id: (id ?? nil) ?? .null, error: .invalidRequest(message))
        }
        if case .some(nil) = id { throw refusal("'id' is a string, a number or null") }
        guard object["jsonrpc"] == .string("2.0") else { throw refusal("'jsonrpc' is \"2.0\"") }
        guard let method = object["method"] else { throw refusal("'method' is missing") }
        guard let name = method.stringValue else { throw refusal("'method' is a string, not \(method.typeName)") }
        let known: Set<String> = ["jsonrpc", "id", "method", "params"]
        if let unknown = object.members.first(where: { !known.contains($0.key) }) {
            throw refusal("unknown member '\(unknown.key.prefix(64))'")
        }
        let parameters: RPCRequest.Parameters
        switch object["params"] {
        case nil: parameters = .none
        case .array(let values)?: parameters = .positional(values)
        case .object(let members)?: parameters = .named(members)
        case let other?: throw refusal("'params' is an array or an object, not \(other.typeName)")
        }
        return RPCRequest(id: id ?? nil, method: name, parameters: parameters)
    }
}

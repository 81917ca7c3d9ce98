import Testing

@testable import HTTPServer

/// What a parser made of some bytes, in a form that can be compared.
enum Parsed: Equatable, CustomStringConvertible {
    case head(expectsContinue: Bool)
    case request(String)
    case refused(HTTPRefusal)

    var description: String {
        switch self {
        case .head(let expectsContinue): "head(\(expectsContinue))"
        case .request(let text): "request(\(text))"
        case .refused(let refusal): "refused(\(refusal), header: \(refusal.header ?? "-"))"
        }
    }
}

/// Feeds the bytes in pieces that end at the given places; a refusal ends it.
func parse(_ bytes: [UInt8], cuts: [Int] = [], limits: HTTPLimits = HTTPLimits()) -> [Parsed] {
    var parser = HTTPParser(limits: limits)
    var found: [Parsed] = []
    var start = 0
    for end in cuts + [bytes.count] {
        var rest = bytes[start..<end]
        start = end
        while !rest.isEmpty {
            let (used, event) = rest.withUnsafeBytes { parser.consume($0) }
            rest = rest.dropFirst(used)
            switch event {
            case .headComplete(let expects)?: found.append(.head(expectsContinue: expects))
            case .request(let request)?: found.append(.request(summary(request)))
            case .refused(let refusal)?: return found + [.refused(refusal)]
            case nil: break
            }
        }
    }
    return found
}

func parse(_ text: String, limits: HTTPLimits = HTTPLimits()) -> [Parsed] {
    parse(Array(text.utf8), limits: limits)
}

private func summary(_ request: HTTPRequest) -> String {
    let query = request.query.map { "?" + $0 } ?? ""
    let fields = request.headers.map { " \($0.name)=\($0.value)" }.joined()
    let body = request.body.isEmpty ? "" : " body=" + String(decoding: request.body, as: UTF8.self)
    let alive = request.keepsAlive ? "" : " closes"
    let version = request.version == .oneOne ? "" : " 1.0"
    return "\(request.method) \(request.path)\(query)\(version)\(alive)\(fields)\(body)"
}

public import EngineProtocol
public import HTTPServer
import JSON
public import Observability
public import Platform
public import Serving

/// The routes of the HTTP door: who may ask, what is asked, who answers.
///
/// Everything happens on the loop.
public final class OpenAIRoutes {
    public struct Settings: Sendable {
        /// The tenant that a key stands for; nil when no key is needed.
        public var tenantOfKey: (@Sendable (String) -> String?)?
        /// Who an administrator's key stands for; nil when nobody may administer.
        public var administratorOfKey: (@Sendable (String) -> String?)?
        public var origins: OriginPolicy
        public var consolePage: [UInt8]

        public init(
            tenantOfKey: (@Sendable (String) -> String?)?,
            administratorOfKey: (@Sendable (String) -> String?)? = nil, origins: OriginPolicy, consolePage: [UInt8]
        ) {
            self.tenantOfKey = tenantOfKey
            self.administratorOfKey = administratorOfKey
            self.origins = origins
            self.consolePage = consolePage
        }
    }

    private(set) var settings: Settings
    let serving: Serving
    /// Makes a model of a path that an administrator has named, if it may be used; by default, no path may be.
    public var modelAtPath: (_ name: String, _ path: String) throws(EngineError) -> ServedModel = {
        _, path throws(EngineError) in throw .pathNotAllowed(path: path)
    }
    private let loop: EventLoop
    private let registry: MetricsRegistry
    private let metrics: HTTPMetrics
    let logger: Logger
    private var generationsInProgress = 0
    private var isStopping = false
    private var onLastAnswer: (() -> Void)?

    public init(settings: Settings, serving: Serving, loop: EventLoop, registry: MetricsRegistry, logger: Logger) {
        self.settings = settings
        self.serving = serving
        self.loop = loop
        self.registry = registry
        metrics = HTTPMetrics(registry: registry)
        self.logger = logger
    }

    public func handle(_ request: HTTPRequest, _ response: HTTPResponseWriter) {
        let exchange = Exchange(
            request: request, response: response, requestID: Self.requestID(of: request), arrival: MonotonicClock.now())
        do throws(APIError) {
            try checkOrigin(exchange)
            if request.method == "OPTIONS" { return try preflight(exchange) }
            try route(exchange)
        } catch {
            fail(exchange, error)
        }
    }

    /// Takes other settings, for the requests that come from now on.
    public func apply(_ settings: Settings) { self.settings = settings }

    /// Tells the probes that the server is stopping, and calls `done` once no generation is being answered.
    public func drain(_ done: @escaping () -> Void) {
        isStopping = true
        onLastAnswer = done
        reportLastAnswer()
    }

    private func reportLastAnswer() {
        guard generationsInProgress == 0, let done = onLastAnswer else { return }
        onLastAnswer = nil
        // The last answer is still to be written in this turn.
        loop.atEndOfTurn(done)
    }

    /// A refusal of the HTTP layer, before any route: counted, and told in this API's envelope.
    public func refusalBody(_ refusal: HTTPRefusal) -> [UInt8] {
        metrics.countRequest(route: "refused", status: refusal.status)
        logger.info("http.refused", .int("status", refusal.status), .string("code", refusal.code.rawValue))
        return APIError(refusal).body
    }

    private func route(_ exchange: Exchange) throws(APIError) {
        let path = exchange.request.path
        switch path {
        case "/": try only("GET", exchange) { page(exchange) }
        case "/livez": try only("GET", exchange) { answer(exchange, StatusDocuments.live) }
        case "/readyz", "/startupz", "/health": try only("GET", exchange) { ready(exchange) }
        case "/metrics":
            try authorized(exchange) { _ throws(APIError) in try only("GET", exchange) { renderMetrics(exchange) } }
        case "/v1/models":
            try authorized(exchange) { _ throws(APIError) in
                try only("GET", exchange) { answer(exchange, StatusDocuments.modelList(serving.models)) }
            }
        case "/v1/chat/completions":
            try authorized(exchange) { tenant throws(APIError) in
                try only("POST", exchange) { () throws(APIError) in try generate(exchange, tenant, .chat) }
            }
        case "/v1/completions":
            try authorized(exchange) { tenant throws(APIError) in
                try only("POST", exchange) { () throws(APIError) in try generate(exchange, tenant, .completion) }
            }
        case "/v1/models/load" where exchange.request.method == "POST": try administer(exchange, .load)
        case "/v1/models/unload" where exchange.request.method == "POST": try administer(exchange, .unload)
        case "/v1/models/reload" where exchange.request.method == "POST": try administer(exchange, .reload)
        default:
            try authorized(exchange) { tenant throws(APIError) in try routeWithName(exchange, tenant) }
        }
    }

    /// Paths that end with a name.
    private func routeWithName(_ exchange: Exchange, _ tenant: String) throws(APIError) {
        let path = exchange.request.path
        if let name = path.suffix(after: "/v1/models/") {
            return try only("GET", exchange) { () throws(APIError) in
                guard let model = serving.models.first(where: { $0.name == name }) else {
                    throw APIError(.modelNotFound(model: String(name.prefix(OpenAILimits.modelNameBytes))))
                }
                answer(exchange, StatusDocuments.model(model))
            }
        }
        if let id = path.suffix(after: "/v1/requests/") {
            return try only("DELETE", exchange) { () throws(APIError) in
                let count = serving.cancel(id: id, tenant: tenant)
                guard count > 0 else {
                    throw .notFound("no request with this id is running", code: "request_not_found")
                }
                answer(exchange, StatusDocuments.cancelled(id: id, count: count))
            }
        }
        throw .notFound("there is nothing at \(path.prefix(200))")
    }

    private func only(
        _ method: String, _ exchange: Exchange, _ body: () throws(APIError) -> Void
    ) throws(APIError) {
        let asked = exchange.request.method
        guard asked == method || (asked == "HEAD" && method == "GET") else {
            exchange.headers.append(HTTPHeader("allow", method == "GET" ? "GET, HEAD" : method))
            throw APIError(
                status: 405, type: "invalid_request_error", code: "method_not_allowed",
                message: "\(exchange.request.path.prefix(200)) takes \(method), not \(asked.prefix(32))")
        }
        try body()
    }
}

// MARK: - Who may ask

extension OpenAIRoutes {
    private func authorized(
        _ exchange: Exchange, _ body: (_ tenant: String) throws(APIError) -> Void
    ) throws(APIError) {
        guard let tenantOfKey = settings.tenantOfKey else { return try body("") }
        guard let key = Self.key(of: exchange.request) else {
            throw APIError(.unauthorized(message: "an API key is needed: 'Authorization: Bearer KEY'"))
        }
        guard let tenant = tenantOfKey(key) else {
            throw APIError(.unauthorized(message: "the API key is not known"))
        }
        try body(tenant)
    }

    /// The case of the scheme does not matter (RFC 9110, 11.1).
    static func key(of request: HTTPRequest) -> String? {
        let scheme = "bearer "
        if let value = request.header("authorization"), value.prefix(scheme.count).lowercased() == scheme {
            return String(value.dropFirst(scheme.count))
        }
        return request.header("x-api-key")
    }

    private func checkOrigin(_ exchange: Exchange) throws(APIError) {
        if case .unix = exchange.request.peer { return }
        let host = exchange.request.header("host") ?? ""
        guard settings.origins.allows(host: host) else {
            throw .forbidden("the Host '\(host.prefix(200))' is not allowed here", code: "host_not_allowed")
        }
        guard let origin = exchange.request.header("origin") else { return }
        guard settings.origins.allows(origin: origin, host: host) else {
            throw .forbidden("the Origin '\(origin.prefix(200))' is not allowed", code: "origin_not_allowed")
        }
        if settings.origins.sharesAnswers(withOrigin: origin) {
            exchange.headers.append(HTTPHeader("access-control-allow-origin", origin))
            exchange.headers.append(HTTPHeader("vary", "Origin"))
        }
    }

    /// A browser asks before it sends a page's request; only configured origins get a yes.
    private func preflight(_ exchange: Exchange) throws(APIError) {
        exchange.headers += [
            HTTPHeader("access-control-allow-methods", "GET, POST, DELETE"),
            HTTPHeader("access-control-allow-headers", "authorization, content-type, x-request-id"),
            HTTPHeader("access-control-max-age", "600"),
        ]
        exchange.response.respond(status: 204, headers: exchange.headers, body: [])
        done(exchange, route: "preflight", status: 204)
    }
}

// MARK: - Generations

extension OpenAIRoutes {
    private func generate(
        _ exchange: Exchange, _ tenant: String, _ shape: GenerationRequest.Shape
    ) throws(APIError) {
        try checkContentType(exchange.request)
        let parsed = try parse(exchange.request.body, shape)
        let identity = CallIdentity(
            publicID: PublicID.make(prefix: shape == .chat ? "chatcmpl" : "cmpl"), requestID: exchange.requestID,
            tenant: tenant)
        let choices = Array(
            repeating: CollectedChoice(wantsLogProbabilities: parsed.generate.logProbabilities != nil),
            count: parsed.generate.inputs.count * Int(parsed.generate.choices))
        let names = serving.modelNames
        let name = parsed.model ?? (names.count == 1 ? names[0] : "")
        let responder = GenerationResponder(
            response: exchange.response,
            format: ResponseFormat(
                shape: shape, id: identity.publicID, model: name, created: WallClock.now() / 1_000_000_000,
                includesUsage: parsed.includesUsage),
            streams: parsed.streams, choices: choices, headers: exchange.headers, loop: loop,
            metrics: metrics.generations.begin(),
            onFinished: { [self] status, code in
                generationsInProgress -= 1
                reportLastAnswer()
                let route = shape == .chat ? "/v1/chat/completions" : "/v1/completions"
                done(exchange, route: route, status: status, code: code)
            })
        generationsInProgress += 1
        let call: ServedCall
        do {
            call = try serving.submit(
                .generate(parsed.generate), model: parsed.model, identity: identity, resumes: parsed.resumes,
                listener: responder)
        } catch {
            return responder.refuse(APIError(error))
        }
        // The connection owns the responder from here on.
        exchange.response.onDrained = { responder.callHasEvents(call) }
        exchange.response.onClientGone = { [self] in
            metrics.generations.countDisconnect()
            serving.cancel(call)
            responder.clientIsGone()
        }
        responder.callHasEvents(call)
    }

    private func parse(_ body: [UInt8], _ shape: GenerationRequest.Shape) throws(APIError) -> GenerationRequest {
        let value: JSONValue
        do {
            value = try JSONValue.parse(body)
        } catch {
            throw .invalid(nil, "\(error)", code: "invalid_json")
        }
        return shape == .chat ? try .chat(value) : try .completion(value)
    }

    func checkContentType(_ request: HTTPRequest) throws(APIError) {
        let type = request.header("content-type") ?? ""
        let media = type.split(separator: ";", omittingEmptySubsequences: false)[0].lowercased()
        guard media.split(separator: " ").joined() == "application/json" else {
            throw APIError(
                status: 415, type: "invalid_request_error", code: "unsupported_media_type",
                message: "the body is sent as 'Content-Type: application/json', not '\(type.prefix(100))'")
        }
    }
}

// MARK: - Documents

extension OpenAIRoutes {
    private func page(_ exchange: Exchange) {
        let policy =
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
            + "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        let headers = [
            HTTPHeader("content-type", "text/html; charset=utf-8"),
            HTTPHeader("content-security-policy", policy),
            HTTPHeader("x-content-type-options", "nosniff"),
            HTTPHeader("referrer-policy", "no-referrer"),
        ]
        exchange.response.respond(status: 200, headers: exchange.headers + headers, body: settings.consolePage)
        done(exchange, route: "/", status: 200)
    }

    private func ready(_ exchange: Exchange) {
        let readiness = StatusDocuments.readiness(serving.models, isStopping: isStopping)
        var headers = exchange.headers + [HTTPHeader("content-type", "application/json")]
        if let retryAfter = readiness.retryAfterMilliseconds {
            headers.append(HTTPHeader("retry-after", String((retryAfter + 999) / 1000)))
        }
        let status = readiness.isReady ? 200 : 503
        exchange.response.respond(status: status, headers: headers, body: readiness.body)
        done(exchange, route: exchange.request.path, status: status)
    }

    private func renderMetrics(_ exchange: Exchange) {
        let headers = exchange.headers + [HTTPHeader("content-type", "text/plain; version=0.0.4")]
        let body = registry.render() + WorkerMetrics.render(serving.models, memory: serving.memory)
        exchange.response.respond(status: 200, headers: headers, body: body)
        done(exchange, route: "/metrics", status: 200)
    }

    func answer(_ exchange: Exchange, _ body: [UInt8]) {
        let headers = exchange.headers + [HTTPHeader("content-type", "application/json")]
        exchange.response.respond(status: 200, headers: headers, body: body)
        done(exchange, route: Self.routeLabel(exchange.request.path), status: 200)
    }

    func fail(_ exchange: Exchange, _ error: APIError) {
        exchange.response.respond(status: error.status, headers: exchange.headers + error.headers, body: error.body)
        done(exchange, route: Self.routeLabel(exchange.request.path), status: error.status, code: error.code)
    }

    private func done(_ exchange: Exchange, route: String, status: Int, code: String? = nil) {
        metrics.countRequest(route: route, status: status)
        let milliseconds = Double(MonotonicClock.now() - exchange.arrival) / 1e6
        if let code {
            logger.info(
                "http.request", .string("route", route), .int("status", status), .double("ms", milliseconds),
                .string("code", code), requestID: exchange.requestID)
        } else {
            logger.debug(
                "http.request", .string("route", route), .int("status", status), .double("ms", milliseconds),
                requestID: exchange.requestID)
        }
    }

    /// A label of a bounded set, whatever the path is.
    private static func routeLabel(_ path: String) -> String {
        let known: Set<String> = [
            "/", "/livez", "/readyz", "/startupz", "/health", "/metrics", "/v1/models", "/v1/chat/completions",
            "/v1/completions", "/v1/models/load", "/v1/models/unload", "/v1/models/reload",
        ]
        if known.contains(path) { return path }
        if path.hasPrefix("/v1/models/") { return "/v1/models/{id}" }
        if path.hasPrefix("/v1/requests/") { return "/v1/requests/{id}" }
        return "other"
    }

    /// The client's own id if it has the right form, else a new one.
    private static func requestID(of request: HTTPRequest) -> String {
        guard let id = request.header("x-request-id"), (1...128).contains(id.utf8.count),
            id.utf8.allSatisfy(PublicID.isAllowed)
        else { return PublicID.make(prefix: "req") }
        return id
    }
}

/// One request and what is known about it.
final class Exchange {
    let request: HTTPRequest
    let response: HTTPResponseWriter
    let requestID: String
    let arrival: UInt64
    var headers: [HTTPHeader]

    init(request: HTTPRequest, response: HTTPResponseWriter, requestID: String, arrival: UInt64) {
        self.request = request
        self.response = response
        self.requestID = requestID
        self.arrival = arrival
        headers = [HTTPHeader("x-request-id", requestID)]
    }
}

extension APIError {
    static func forbidden(_ message: String, code: String) -> APIError {
        APIError(status: 403, type: "permission_error", code: code, message: message)
    }
}

extension String {
    fileprivate func suffix(after prefix: String) -> String? {
        hasPrefix(prefix) && utf8.count > prefix.utf8.count ? String(dropFirst(prefix.count)) : nil
    }
}

import EngineProtocol
import HTTPServer
import JSON
import Observability
import Serving

/// The routes that change which models are loaded: for administrators only.
extension OpenAIRoutes {
    enum ModelOperation: String {
        case load, unload, reload
    }

    func administer(_ exchange: Exchange, _ operation: ModelOperation) throws(APIError) {
        let administrator = try administrator(exchange)
        try checkContentType(exchange.request)
        let order = try ModelOrder(exchange.request.body, operation)
        logger.info(
            "admin.order", .string("operation", operation.rawValue), .string("model", order.model),
            .string("by", administrator), requestID: exchange.requestID)
        do throws(EngineError) {
            try carryOut(order, operation) { [self] result in
                switch result {
                case .success(let status): answer(exchange, StatusDocuments.model(status))
                case .failure(let error): fail(exchange, APIError(error))
                }
            }
        } catch {
            throw APIError(error)
        }
    }

    private func carryOut(
        _ order: ModelOrder, _ operation: ModelOperation, _ done: @escaping Serving.Answer
    ) throws(EngineError) {
        switch operation {
        case .load:
            if let path = order.path {
                try serving.load(try modelAtPath(order.model, path), done)
            } else {
                try serving.load(order.model, done)
            }
        case .unload: try serving.unload(order.model, done)
        case .reload: try serving.reload(order.model, allowDowntime: order.allowsDowntime, done)
        }
    }

    private func administrator(_ exchange: Exchange) throws(APIError) -> String {
        guard let administratorOfKey = settings.administratorOfKey else {
            throw .forbidden(
                "models cannot be loaded or unloaded over HTTP: the server has no administrator keys "
                    + "(--admin-key-file)", code: "administration_disabled")
        }
        guard let key = Self.key(of: exchange.request) else {
            throw APIError(.unauthorized(message: "an administrator key is needed: 'Authorization: Bearer KEY'"))
        }
        if let administrator = administratorOfKey(key) { return administrator }
        if settings.tenantOfKey?(key) != nil {
            throw .forbidden("this API key is not an administrator's", code: "administrator_required")
        }
        throw APIError(.unauthorized(message: "the administrator key is not known"))
    }
}

/// The body of an administrator's request.
private struct ModelOrder {
    let model: String
    /// Of a model that no configuration names.
    let path: String?
    let allowsDowntime: Bool

    init(_ body: [UInt8], _ operation: OpenAIRoutes.ModelOperation) throws(APIError) {
        let value: JSONValue
        do {
            value = try JSONValue.parse(body)
        } catch {
            throw .invalid(nil, "\(error)", code: "invalid_json")
        }
        var fields = try RequestFields(value)
        guard let name = try fields.string("model", maximumBytes: OpenAILimits.modelNameBytes), !name.isEmpty else {
            throw .invalid("model", "'model' is required: the name of a model", code: "missing_required_parameter")
        }
        model = name
        path = operation == .load ? try fields.string("path", maximumBytes: OpenAILimits.pathBytes) : nil
        allowsDowntime = operation == .reload ? try fields.bool("allow_downtime") ?? false : false
        try fields.finish()
    }
}

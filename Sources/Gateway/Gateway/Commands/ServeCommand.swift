import Configuration
import EngineProtocol
import Observability
import OpenAIAPI
import Platform
import Policies
import Supervision

/// `apus serve`: checks the settings, then runs the server until it is told to stop.
struct ServeCommand {
    /// What the bundled model is called by clients.
    static let demoModelName = "apus-demo"

    var settings: Settings
    /// Reads the settings again from where they came.
    var reload: () throws(CommandFailure) -> Settings

    func run(console: Console) throws(CommandFailure) {
        let logger = logger(console)
        let manager = try ServiceManager.ofThisProcess(logger: logger.named("service"))
        let options = try options(addresses: manager.addresses ?? [settings.host], logger: logger)
        let failure: String?
        do {
            let server = try GatewayServer(options, manager: manager) { running throws(CommandFailure) in
                // The doors stay as they are: their addresses decide whether keys may go.
                let again = ServeCommand(settings: try reload(), reload: reload)
                let addresses = manager.addresses ?? [settings.host, again.settings.host]
                return try again.options(addresses: addresses, replacing: running, logger: logger)
            }
            failure = try server.run { address in announce(address, console) }
        } catch {
            throw .failed("\(error)")
        }
        if let failure { throw .failed(failure) }
    }

    /// Reads and checks everything that the settings name.
    ///
    /// - Parameter addresses: where the server listens.
    private func options(
        addresses: [String], replacing running: GatewayServer.Options? = nil, logger: Logger
    ) throws(CommandFailure) -> GatewayServer.Options {
        let keys = try keys(settings.apiKeyFile, replacing: running?.keys)
        let open = addresses.first { !Self.isLoopback($0) }
        if let open, !keys.isRequired {
            throw .failed("\(open) is reachable from other machines: give --api-key-file, or listen on 127.0.0.1")
        }
        try checkRPC(keys)
        let options = GatewayServer.Options(
            settings: settings, models: models, keys: keys,
            administrators: try self.keys(settings.adminKeyFile, replacing: running?.administrators),
            origins: OriginPolicy(
                allowedHosts: settings.allowedHosts, allowedOrigins: settings.corsOrigins, isLoopback: open == nil),
            logger: logger)
        for model in options.models { try check(model) }
        return options
    }

    private func checkRPC(_ keys: APIKeys) throws(CommandFailure) {
        guard settings.rpcPort != nil else { return }
        guard Self.isLoopback(settings.rpcHost) else {
            throw .failed("rpc.host is \(settings.rpcHost); JSON-RPC listens on loopback addresses only")
        }
        guard keys.isRequired else { throw .failed("JSON-RPC over TCP needs --api-key-file; a Unix socket does not") }
    }

    /// A wrong path is told before anything is started.
    private func check(_ model: GatewayServer.Model) throws(CommandFailure) {
        do throws(EngineError) { _ = try model.sources.open() } catch { throw .failed("\(model.name): \(error.text)") }
    }

    private var models: [GatewayServer.Model] {
        let draft = settings.draftModel.map(settings.path(ofModel:)).map(ModelSession.source)
        guard !settings.models.isEmpty else {
            return [GatewayServer.Model(name: Self.demoModelName, sources: ModelSources(.bundledDemo, draft: draft))]
        }
        return settings.models.map { model in
            GatewayServer.Model(
                name: model.name,
                sources: ModelSources(
                    ModelSession.source(model.path),
                    draft: (model.options.draftModel ?? settings.draftModel).map(ModelSession.source)),
                options: model.options)
        }
    }

    private func keys(_ path: String?, replacing older: APIKeys?) throws(CommandFailure) -> APIKeys {
        guard let path else { return APIKeys(replacing: older) }
        let bytes = try CommandInput.file(path).bytes
        do {
            return try APIKeys(file: bytes, replacing: older)
        } catch {
            throw .failed("\(path): \(error)")
        }
    }

    private func logger(_ console: Console) -> Logger {
        let isTerminal = console.messagesAreTerminal
        let format: LogFormat =
            switch settings.logStyle {
            case .json: .json
            case .text: .text(coloured: isTerminal)
            case .auto: isTerminal ? .text(coloured: true) : .json
            }
        return Logger(component: "apus", level: settings.logLevel, format: format)
    }

    /// Where to look, and a line that works when it is pasted.
    private func announce(_ address: GatewayServer.Address, _ console: Console) {
        let host = address.host.contains(":") ? "[\(address.host)]" : address.host
        let base = "http://\(host == "0.0.0.0" ? "127.0.0.1" : host):\(address.port)"
        let key = settings.apiKeyFile == nil ? "" : " -H \"authorization: Bearer $APUS_KEY\""
        let model = models.count > 1 ? #""model": "\#(models[0].name)", "# : ""
        let rpc =
            settings.rpcSocket.map { "\nJSON-RPC apus rpc --socket \($0) rkllm.run '{\"prompt\": \"Hello!\"}'" } ?? ""
        console.notice(
            """

            Console  \(base)/
            Try      curl -N \(base)/v1/chat/completions -H 'content-type: application/json'\(key) \
            -d '{\(model)"messages": [{"role": "user", "content": "Hello! Who are you?"}], "stream": true}'\(rpc)

            """)
    }

    static func isLoopback(_ host: String) -> Bool {
        host == "localhost" || host == "::1" || host == "[::1]" || host.hasPrefix("127.")
    }
}

/// `apus config check`: the effective settings, and where each comes from.
struct ConfigCheckCommand {
    var settings: Settings

    func run(console: Console) throws(CommandFailure) {
        let rows = settings.effectiveTable()
        let keyWidth = rows.map(\.key.count).max() ?? 0
        let valueWidth = min(rows.map(\.value.count).max() ?? 0, 48)
        for row in rows {
            let key = row.key + String(repeating: " ", count: keyWidth - row.key.count)
            let value = row.value + String(repeating: " ", count: max(0, valueWidth - row.value.count))
            console.result("\(key)  \(value)  \(row.origin)")
        }
    }
}

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

    func run(console: Console) throws(CommandFailure) {
        let keys = try apiKeys()
        let isLoopback = Self.isLoopback(settings.host)
        guard isLoopback || keys.isRequired else {
            throw .failed(
                "\(settings.host) is reachable from other machines: give --api-key-file, or listen on 127.0.0.1")
        }
        let options = GatewayServer.Options(
            settings: settings, models: models, keys: keys,
            origins: OriginPolicy(
                allowedHosts: settings.allowedHosts, allowedOrigins: settings.corsOrigins, isLoopback: isLoopback),
            logger: logger(console))
        for model in options.models { try check(model) }
        let failure: String?
        do {
            failure = try GatewayServer(options).run { port in announce(port: port, console) }
        } catch {
            throw .failed("\(error)")
        }
        if let failure { throw .failed(failure) }
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
                name: model.name, sources: ModelSources(ModelSession.source(model.path), draft: draft))
        }
    }

    private func apiKeys() throws(CommandFailure) -> APIKeys {
        guard let path = settings.apiKeyFile else { return APIKeys() }
        let bytes = try CommandInput.file(path).bytes
        do {
            return try APIKeys(file: bytes)
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
    private func announce(port: UInt16, _ console: Console) {
        let host = settings.host.contains(":") ? "[\(settings.host)]" : settings.host
        let base = "http://\(host == "0.0.0.0" ? "127.0.0.1" : host):\(port)"
        let key = settings.apiKeyFile == nil ? "" : " -H \"authorization: Bearer $APUS_KEY\""
        let model = models.count > 1 ? #""model": "\#(models[0].name)", "# : ""
        console.notice(
            """

            Console  \(base)/
            Try      curl -N \(base)/v1/chat/completions -H 'content-type: application/json'\(key) \
            -d '{\(model)"messages": [{"role": "user", "content": "Hello! Who are you?"}], "stream": true}'

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

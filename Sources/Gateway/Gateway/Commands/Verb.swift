import Configuration
import EngineProtocol
import Platform

/// One word after `apus`: its syntax, and what it does.
struct Verb: Sendable {
    let syntax: CommandSyntax
    let run: @Sendable (ParsedArguments, Console) throws(CommandFailure) -> Void

    static let all: [Verb] = [
        serve, generate, chat, tokenize, score, bench, inspect, template, rpc, configCheck, doctor,
    ]

    private static let model = PositionalSyntax(
        "MODEL",
        help: "A GGUF or .rkllm file, a model's name from the configuration, or 'demo' for the bundled model.")

    private static let samplingOptions = [
        OptionSyntax("--max-tokens", value: "N", help: "Longest answer; default: the rest of the context."),
        OptionSyntax("--temperature", value: "T", help: "0 always takes the likeliest token. Default: 0.8."),
        OptionSyntax("--top-p", value: "P", help: "Share of probability to choose from. Default: 0.95."),
        OptionSyntax("--seed", value: "S", help: "The same seed gives the same answer. Default: another each time."),
    ]

    private static let draftModelOption = OptionSyntax(
        "--draft-model", value: "MODEL",
        help: "Smaller model with the same tokenizer that guesses what MODEL says next; it changes no text.")

    static let serve = Verb(
        syntax: CommandSyntax(
            "serve", summary: "Starts the server. Without a model it serves the bundled demo model.",
            positionals: [
                PositionalSyntax(
                    "[NAME=]MODEL", .many, help: "A GGUF or .rkllm file; its id is NAME, else the file's name.")
            ], options: ConfigurationLoader.settingsOptions)
    ) { arguments, console throws(CommandFailure) in
        let load = { () throws(CommandFailure) in try loadSettings(arguments, servesModels: true) }
        try ServeCommand(settings: load(), reload: load).run(console: console)
    }

    static let generate = Verb(
        syntax: CommandSyntax(
            "run", summary: "Prints one answer.",
            positionals: [model, PositionalSyntax("PROMPT", help: "What to answer.")],
            options: samplingOptions + [
                OptionSyntax("--raw", help: "Continues PROMPT without a chat template."),
                OptionSyntax("--json", help: "One JSON object with text, usage and times."), draftModelOption,
            ], notes: "With --raw and no --max-tokens, 128 tokens are generated.")
    ) { arguments, console throws(CommandFailure) in
        let command = RunCommand(
            model: try path(arguments), draftModel: try draftModel(arguments), prompt: arguments.positionals[1],
            raw: arguments.has("--raw"), maximumTokens: try maximumTokens(arguments),
            sampling: try sampling(arguments), asJSON: arguments.has("--json"))
        try command.run(console: console)
    }

    static let chat = Verb(
        syntax: CommandSyntax(
            "chat", summary: "Talks with a model. Ctrl-C stops the answer; /help lists commands.", positionals: [model],
            options: samplingOptions + [
                OptionSyntax("--system", value: "TEXT", help: "System prompt."), draftModelOption,
            ])
    ) { arguments, console throws(CommandFailure) in
        let command = ChatCommand(
            model: try path(arguments), draftModel: try draftModel(arguments),
            systemPrompt: arguments.value("--system"), maximumTokens: try maximumTokens(arguments),
            sampling: try sampling(arguments))
        try command.run(console: console)
    }

    static let tokenize = Verb(
        syntax: CommandSyntax(
            "tokenize", summary: "Prints the token ids of a text, one line for each line.",
            positionals: [model, PositionalSyntax("TEXT", .optional, help: "Without it, standard input is read.")],
            options: [
                OptionSyntax("--no-special", help: "No BOS or EOS, and the text of special tokens is plain text."),
                OptionSyntax("--decode", help: "The other way: reads ids, prints text."),
            ])
    ) { arguments, console throws(CommandFailure) in
        let command = TokenizeCommand(
            model: try path(arguments), text: arguments.positionals.count > 1 ? arguments.positionals[1] : nil,
            addSpecial: !arguments.has("--no-special"), decode: arguments.has("--decode"))
        try command.run(console: console)
    }

    static let score = Verb(
        syntax: CommandSyntax(
            "score", summary: "Prints how well a model predicts a text: tokens, mean nats per token, perplexity.",
            positionals: [model, PositionalSyntax("FILE", help: "The text; '-' is standard input.")],
            options: [OptionSyntax("--window", value: "N", help: "Tokens scored together. Default: the context.")])
    ) { arguments, console throws(CommandFailure) in
        let window = try usage { () throws(UsageError) in try arguments.integer("--window", in: 2...(1 << 24)) }
        let command = ScoreCommand(
            model: try path(arguments), file: arguments.positionals[1], window: window.map { UInt32($0) })
        try command.run(console: console)
    }

    static let bench = Verb(
        syntax: CommandSyntax(
            "bench", summary: "Measures prefill and decode speed.", positionals: [model],
            options: [
                OptionSyntax("--prompt", value: "N", help: "Tokens of each prompt. Default: 256."),
                OptionSyntax("--generate", value: "N", help: "Tokens each sequence decodes. Default: 64."),
                OptionSyntax("--batch", value: "LIST", help: "Sequences at once, such as 1,8,32. Default: 1."),
                OptionSyntax("--repeat", value: "N", help: "Measurements, of which the median is told. Default: 3."),
                OptionSyntax("--temperature", value: "T", help: "Of the sampled tokens. Default: 0, the likeliest."),
                OptionSyntax("--threads", value: "N", help: "Compute threads. Default: as the machine allows."),
                OptionSyntax("--kv-cache", value: "TYPE", help: "f16, q8_0 or f32. Default: f16."),
                OptionSyntax("--json", help: "One JSON object per line."), draftModelOption,
            ])
    ) { arguments, console throws(CommandFailure) in
        let command = try usage { () throws(UsageError) in
            BenchCommand(
                model: "", promptTokens: try arguments.integer("--prompt", in: 1...65_536) ?? 256,
                generatedTokens: try arguments.integer("--generate", in: 1...65_536) ?? 64,
                batches: try arguments.integers("--batch", in: 1...256) ?? [1],
                repeats: try arguments.integer("--repeat", in: 1...100) ?? 3,
                temperature: Float(try arguments.number("--temperature", in: 0...2) ?? 0),
                asJSON: arguments.has("--json"),
                threads: UInt32(try arguments.integer("--threads", in: 1...1024) ?? 0),
                cacheType: LoadRequest.CacheType(
                    named: try arguments.word("--kv-cache", of: LoadRequest.CacheType.allCases.map(\.name)) ?? ""))
        }
        try command.measuring(try path(arguments), draftModel: try draftModel(arguments)).run(console: console)
    }

    static let inspect = Verb(
        syntax: CommandSyntax(
            "inspect", summary: "Prints a model file's metadata, tensors and capabilities as JSON.",
            positionals: [model])
    ) { arguments, console throws(CommandFailure) in
        try InspectCommand(model: path(arguments)).run(console: console)
    }

    static let template = Verb(
        syntax: CommandSyntax(
            "template", summary: "Prints a chat request as the model's template renders it.",
            positionals: [
                model, PositionalSyntax("FILE.json", help: "A chat request, or its messages; '-' is standard input."),
            ])
    ) { arguments, console throws(CommandFailure) in
        try TemplateCommand(model: path(arguments), file: arguments.positionals[1]).run(console: console)
    }

    static let rpc = Verb(
        syntax: CommandSyntax(
            "rpc", summary: "Calls JSON-RPC methods of a server that is running.",
            positionals: [
                PositionalSyntax("METHOD", help: "Such as rkllm.run; rpc.discover lists all."),
                PositionalSyntax(
                    "PARAMS", .many, help: "Its parameters as JSON; then perhaps another METHOD on the same connection."
                ),
            ],
            options: [
                OptionSyntax("--socket", value: "PATH", help: "The server's Unix socket. Default: rpc.socket."),
                OptionSyntax("--tcp", value: "HOST:PORT", help: "The server's TCP address instead."),
                OptionSyntax("--key-file", value: "FILE", help: "An API key to show, on the first line."),
                OptionSyntax("--nano", help: "Streams as the ancestor of the protocol has them."),
                OptionSyntax("--json", help: "Every message as it came, one line each."),
            ],
            notes: "Text of a run is written as it comes, then the rest of its answer.")
    ) { arguments, console throws(CommandFailure) in
        let command = RPCCommand(
            address: try rpcAddress(arguments), calls: try RPCCommand.calls(arguments.positionals),
            key: try arguments.value("--key-file").map(firstLine), isNano: arguments.has("--nano"),
            showsMessages: arguments.has("--json"))
        try command.run(console: console)
    }

    static let configCheck = Verb(
        syntax: CommandSyntax(
            "config check", summary: "Checks the configuration and prints each setting and where it comes from.",
            positionals: [PositionalSyntax("[NAME=]MODEL", .many, help: "As for apus serve.")],
            options: ConfigurationLoader.settingsOptions)
    ) { arguments, console throws(CommandFailure) in
        try ConfigCheckCommand(settings: loadSettings(arguments, servesModels: true)).run(console: console)
    }

    static let doctor = Verb(
        syntax: CommandSyntax(
            "doctor", summary: "Looks at the machine, the programs and the model files.",
            positionals: [
                PositionalSyntax("MODEL", .many, help: "Files to look at; default: those of the configuration.")
            ],
            options: [ConfigurationLoader.settingsOptions[0]])
    ) { arguments, console throws(CommandFailure) in
        let settings = try loadSettings(arguments)
        let named = arguments.positionals.map(settings.path(ofModel:))
        let configured = settings.models.map(\.path)
        let models = !named.isEmpty ? named : configured.isEmpty ? [ModelSession.demoName] : configured
        try DoctorCommand(models: models, confinement: settings.confinement).run(console: console)
    }
}

// MARK: - What the verbs' arguments have in common

extension Verb {
    /// - Parameter arguments: those of a verb that takes settings; else none, and what file and environment say counts.
    static func loadSettings(
        _ arguments: ParsedArguments, servesModels: Bool = false
    ) throws(CommandFailure) -> Settings {
        do throws(ConfigurationError) {
            return try ConfigurationLoader.load(
                arguments: arguments, servesModels: servesModels, environment: Environment.all
            ) { path in
                do throws(CommandFailure) {
                    return .success(try CommandInput.file(path).bytes)
                } catch {
                    return .failure(.unreadableFile(path: path, reason: error.text))
                }
            }
        } catch {
            throw error.isUsage ? .usage(error.description) : .failed(error.description)
        }
    }

    /// The first argument, which may be a name from the configuration.
    private static func path(_ arguments: ParsedArguments) throws(CommandFailure) -> String {
        let word = arguments.positionals[0]
        return try loadSettings(ParsedArguments()).path(ofModel: word)
    }

    private static func rpcAddress(_ arguments: ParsedArguments) throws(CommandFailure) -> RPCCommand.Address {
        if let text = arguments.value("--tcp") { return try RPCCommand.tcpAddress(text) }
        if let path = arguments.value("--socket") { return .unix(path: path) }
        guard let path = try loadSettings(ParsedArguments()).rpcSocket else {
            throw .usage("give the server's socket: --socket PATH")
        }
        return .unix(path: path)
    }

    private static func firstLine(ofFile path: String) throws(CommandFailure) -> String {
        try CommandInput.file(path).lines.first ?? ""
    }

    private static func draftModel(_ arguments: ParsedArguments) throws(CommandFailure) -> String? {
        guard let word = arguments.value("--draft-model") else { return nil }
        return try loadSettings(ParsedArguments()).path(ofModel: word)
    }

    private static func maximumTokens(_ arguments: ParsedArguments) throws(CommandFailure) -> UInt32? {
        try usage { () throws(UsageError) in
            try arguments.integer("--max-tokens", in: 1...Int(Int32.max)).map { UInt32($0) }
        }
    }

    private static func sampling(_ arguments: ParsedArguments) throws(CommandFailure) -> SamplingParameters {
        try usage { () throws(UsageError) in
            SamplingParameters(
                temperature: Float(
                    try arguments.number("--temperature", in: 0...2) ?? GenerationDefaults.temperature),
                topP: Float(try arguments.number("--top-p", in: 0...1) ?? GenerationDefaults.topP),
                seed: try arguments.unsigned("--seed") ?? SystemRandom.next())
        }
    }

    private static func usage<Value>(
        _ body: () throws(UsageError) -> Value
    ) throws(CommandFailure) -> Value {
        do throws(UsageError) { return try body() } catch { throw .usage(error.description) }
    }
}

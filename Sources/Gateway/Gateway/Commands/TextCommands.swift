import EngineProtocol
import Glibc
import JSON
import Platform

/// `apus tokenize`: ids separated by spaces, or with `--decode` the text of such ids.
struct TokenizeCommand {
    var model: String
    /// Nil reads standard input.
    var text: String?
    var addSpecial: Bool
    var decode: Bool

    func run(console: Console) throws(CommandFailure) {
        // Before the session, which takes Ctrl-C for itself and would not hear it while this waits.
        let lines = try lines()
        let session = try ModelSession.open(model: model, purpose: .tokenize, console: console)
        for line in lines {
            console.write(bytes: decode ? try decoded(line, session) : try encoded(line, session))
            console.write("\n")
        }
    }

    private func lines() throws(CommandFailure) -> [String] {
        if let text { return [text] }
        return try CommandInput.standardInput().lines
    }

    private func encoded(_ line: String, _ session: ModelSession) throws(CommandFailure) -> [UInt8] {
        let request = TokenizeRequest(text: line, addSpecial: addSpecial, parseSpecial: addSpecial)
        guard case .tokenized(let ids) = try session.call(.tokenize(request)) else { return [] }
        return Array(ids.map(String.init).joined(separator: " ").utf8)
    }

    private func decoded(_ line: String, _ session: ModelSession) throws(CommandFailure) -> [UInt8] {
        var ids: [Int32] = []
        for word in line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == "," }) {
            guard let id = Int32(word) else { throw .failed("'\(word)' is not a token id") }
            ids.append(id)
        }
        guard case .detokenized(let bytes) = try session.call(.detokenize(ids: ids)) else { return [] }
        return bytes
    }
}

/// `apus score`: how well the model predicts a text.
struct ScoreCommand {
    var model: String
    var file: String
    var window: UInt32?

    func run(console: Console) throws(CommandFailure) {
        let text = try CommandInput.file(file).text
        let session = try ModelSession.open(model: model, purpose: .generate, console: console, parallel: 1)
        let result = try session.call(.score(ScoreRequest(text: text, window: window)))
        guard case .scored(let tokens, let nll) = result else { return }
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("tokens")
        writer.integer(tokens)
        writer.key("nll")
        writer.double(nll)
        writer.key("perplexity")
        writer.double(exp(nll))
        writer.endObject()
        console.result(String(decoding: writer.bytes, as: UTF8.self))
    }
}

/// `apus inspect`: metadata, tensors, capabilities.
struct InspectCommand {
    var model: String

    func run(console: Console) throws(CommandFailure) {
        let session = try ModelSession.open(model: model, purpose: .inspect, console: console)
        guard case .inspected(let json) = try session.call(.inspect) else { return }
        console.result(json)
    }
}

/// `apus template`: a chat request as the model sees it.
struct TemplateCommand {
    var model: String
    var file: String

    func run(console: Console) throws(CommandFailure) {
        let input = try chatInput(CommandInput.file(file))
        let session = try ModelSession.open(model: model, purpose: .tokenize, console: console)
        guard case .rendered(let text) = try session.call(.renderTemplate(input)) else { return }
        console.write(text)
    }

    /// The members of a chat request that a template sees.
    ///
    /// An array stands for the messages alone.
    private func chatInput(_ source: CommandInput) throws(CommandFailure) -> ChatInput {
        let value: JSONValue
        do {
            value = try JSONValue.parse(source.bytes)
        } catch {
            throw .failed("\(file): \(error)")
        }
        if value.arrayValue != nil { return ChatInput(messagesJSON: source.text) }
        guard let messages = value["messages"], messages.arrayValue != nil else {
            throw .failed("\(file): a chat request has an array 'messages'")
        }
        return ChatInput(
            messagesJSON: messages.text, toolsJSON: value["tools"]?.text,
            templateOverride: value["chat_template"]?.stringValue,
            variablesJSON: value["chat_template_kwargs"]?.text,
            addGenerationPrompt: value["add_generation_prompt"]?.boolValue ?? true)
    }
}

extension JSONValue {
    fileprivate var text: String { String(decoding: serialized, as: UTF8.self) }
}

/// Text that a verb reads: bounded, and valid UTF-8.
struct CommandInput {
    /// More would not fit any context; a corpus for `score` does.
    static let byteLimit = 64 << 20

    let name: String
    let bytes: [UInt8]
    let text: String

    private init(name: String, bytes: [UInt8]) throws(CommandFailure) {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .failed("\(name) is not valid UTF-8")
        }
        self.name = name
        self.bytes = bytes
        self.text = text
    }

    static func standardInput() throws(CommandFailure) -> CommandInput {
        try read(descriptor: 0, name: "standard input")
    }

    static func file(_ path: String) throws(CommandFailure) -> CommandInput {
        if path == "-" { return try standardInput() }
        let descriptor: FileDescriptor
        do {
            descriptor = try FileDescriptor.openForReading(path: path)
        } catch {
            throw .failed("\(error)")
        }
        return try read(descriptor: descriptor.rawValue, name: path)
    }

    private static func read(descriptor: Int32, name: String) throws(CommandFailure) -> CommandInput {
        let bytes: [UInt8]
        do {
            bytes = try StandardIO.readAll(descriptor, limit: byteLimit)
        } catch {
            throw .failed("\(name): \(error)")
        }
        return try CommandInput(name: name, bytes: bytes)
    }

    /// Lines without their ends; a last line without an end counts, an empty rest does not.
    var lines: [String] {
        var parts = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if parts.last?.isEmpty == true { parts.removeLast() }
        return parts
    }
}

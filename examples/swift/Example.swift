import ApusClient
import EngineProtocol
import JSON

/// Streams an answer, and holds a conversation in which the model may call a tool.
///
/// Run: `apus serve --ipc /tmp/apus/ipc`, and then `apus-example /tmp/apus/ipc`
@main struct Example {
    static func main() async throws {
        guard CommandLine.arguments.count == 2 else { return print("usage: apus-example SOCKET") }
        let client = try ApusClient(path: CommandLine.arguments[1])
        try await stream(client)
        try await talk(client)
        client.close()
    }

    /// Each event is there as soon as the model has made it.
    static func stream(_ client: ApusClient) async throws {
        let messages = #"[{"role": "user", "content": "Hello! Who are you?"}]"#
        var request = GenerateRequest(inputs: [.chat(ChatInput(messagesJSON: messages))], maximumTokens: 64)
        request.sampling.temperature = 0
        for try await event in client.generate(request) {
            switch event {
            case .tokens(let chunk): print(chunk.text, terminator: "")
            case .finished(let usage, _): print("\n[\(usage.completionTokens) tokens]")
            default: continue
            }
        }
    }

    /// What the model asks of the tool is done here, and the result goes back to it.
    ///
    /// Models that were not trained to call tools answer without one, as the demo model does.
    static func talk(_ client: ApusClient) async throws {
        let parameters = try JSONValue.parse(Array(#"{"type": "object", "properties": {}}"#.utf8))
        let coin = Tool(name: "coin", purpose: "Throws a coin.", parameters: parameters)
        var dialogue = Dialogue(client: client, tools: [coin])
        dialogue.request.maximumTokens = 64
        dialogue.request.sampling.temperature = 0
        let answer = try await dialogue.answer("Heads or tails?") { call in
            call.name == coin.name ? (Bool.random() ? "heads" : "tails") : "there is no such tool"
        }
        print(answer)
    }
}

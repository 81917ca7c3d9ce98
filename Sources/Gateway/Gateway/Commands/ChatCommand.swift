import EngineProtocol
import Platform

/// `apus chat`: an interactive conversation.
///
/// Ctrl-C stops the answer, not the program.
struct ChatCommand {
    var model: String
    var draftModel: String?
    var systemPrompt: String?
    var maximumTokens: UInt32?
    var sampling: SamplingParameters

    private static let help = """
        /help           this list
        /reset          forget the conversation
        /system TEXT    set the system prompt and forget the conversation
        /stats          tokens and speed of the last answer
        /exit           leave (or Ctrl-D)
        Ctrl-C          stop the answer
        """

    func run(console: Console) throws(CommandFailure) {
        let session = try ModelSession.open(
            model: model, draftModel: draftModel, purpose: .generate, console: console)
        console.message("\(session.description.name.isEmpty ? model : session.description.name). /help lists commands.")
        var conversation = Conversation(systemPrompt: systemPrompt)
        var last: Answer?
        var input = TerminalInput(interrupts: session.interrupts)
        while true {
            switch try input.line(prompt: console.messagesAreTerminal ? "> " : "", console: console) {
            case .end:
                if console.messagesAreTerminal { console.message("") }
                return
            case .interrupted:
                console.message("\n/exit or Ctrl-D leaves.")
            case .line(let line):
                let words = line.split(separator: " ", maxSplits: 1)
                switch words.first {
                case nil: continue
                case "/exit", "/quit": return
                case "/help": console.message(Self.help)
                case "/reset": conversation = Conversation(systemPrompt: conversation.systemPrompt)
                case "/system": conversation = Conversation(systemPrompt: words.count > 1 ? String(words[1]) : nil)
                case "/stats": console.message(last.map(statistics) ?? "Nothing has been answered yet.")
                case .some(let word) where word.hasPrefix("/"): console.message("\(word)? /help lists commands.")
                default: last = try answer(line, &conversation, session, console)
                }
            }
        }
    }

    private func answer(
        _ line: String, _ conversation: inout Conversation, _ session: ModelSession, _ console: Console
    ) throws(CommandFailure) -> Answer? {
        conversation.turns.append(("user", line))
        let request = GenerateRequest(
            inputs: [.chat(ChatInput(turns: conversation.turns))], maximumTokens: maximumTokens, sampling: sampling)
        var answer = Answer()
        do {
            try session.generate([request]) { _, event in
                if case .tokens(let chunk) = event { console.write(chunk.text) }
                answer.receive(event)
            }
        } catch .interrupted {
            console.message(" [stopped]")
        } catch .failed(let reason) {
            conversation.turns.removeLast()
            console.message(reason)
            return nil
        } catch {
            throw error
        }
        console.write("\n")
        conversation.turns.append(("assistant", answer.text))
        return answer
    }

    private func statistics(_ answer: Answer) -> String {
        let speed = answer.decodeTokensPerSecond.map { ", \(String(rounded: $0, places: 1)) tokens per second" } ?? ""
        let prefill = String(rounded: Double(answer.timings.prefill) / 1e6, places: 1)
        return "\(answer.usage.promptTokens) prompt tokens in \(prefill) ms, "
            + "\(answer.usage.completionTokens) answer tokens\(speed)"
    }
}

/// The turns so far.
private struct Conversation {
    let systemPrompt: String?
    var turns: [(role: StaticString, text: String)] = []

    init(systemPrompt: String?) {
        self.systemPrompt = systemPrompt
        if let systemPrompt { turns.append(("system", systemPrompt)) }
    }
}

import EngineLink
import EngineProtocol
import Glibc
import Platform

// A worker without a model, for tests of what happens when workers misbehave: words in the prompt say what it does.
//
// It answers everything with numbered words, one in a turn of its clock, as many as the request's limit says. A word
// `FAULT@N` in the prompt makes it misbehave when N words of the answer have been sent:
//
//   segv, abort, kill, exit   ends
//   hang                      goes on living, and does nothing any more
//   eat                       takes memory until somebody ends it
//   differ                    goes on with words that no other process would say
//
// A conversation with tools gets a call of one, and with the tool's result an answer that quotes it.

let arguments = CommandLine.arguments
guard let link = arguments.firstIndex(of: "--link-descriptor").flatMap({ Int32(arguments[$0 + 1]) }),
    let parent = arguments.firstIndex(of: "--parent").flatMap({ Int32(arguments[$0 + 1]) }),
    ParentDeath.killSelfWhenParentDies(expectedParent: parent)
else { exit(2) }
// The runtime's own report of a crash would take seconds.
for number in [SIGSEGV, SIGABRT] { signal(number, SIG_DFL) }
try FaultyWorker(link: link).run()

final class FaultyWorker {
    private let loop: EventLoop
    private let server: LinkServer
    private var answers: [CallID: Answer] = [:]

    private struct Answer {
        let seed: UInt64
        let words: Int
        let fault: String
        let faultAt: Int
        var sent = 0
    }

    init(link: Int32) throws {
        loop = try EventLoop()
        server = try LinkServer(loop: loop, descriptor: FileDescriptor(owning: link))
    }

    func run() {
        server.onRequest = { [self] call, request, _ in handle(request, call) }
        server.onClose = { [loop] _ in loop.stop() }
        tick()
        loop.run()
    }

    private func handle(_ request: EngineRequest, _ call: CallID) {
        switch request {
        case .load:
            let description = ModelDescription(
                architecture: "faulty", name: "faulty", parameterCount: 1, vocabularySize: 1, contextLength: 4096,
                trainedContextLength: 4096, parallel: 64, threads: 1, weightBytes: 1, keyValueCacheBytes: 1,
                hasChatTemplate: true, loadNanoseconds: 1)
            server.send([(call, .result(.loaded(description)))])
        case .generate(let generate): begin(generate, call)
        case .cancel:
            if answers.removeValue(forKey: call) != nil { server.send([(call, .failed(.cancelled))]) }
        case .credit, .pause: break
        case .inspect, .score, .tokenize, .detokenize, .renderTemplate, .embed, .openSession, .changeSession,
            .closeSession, .loadAdapter, .unloadAdapter:
            server.send([(call, .failed(.unsupported(feature: "anything but answers")))])
        }
    }

    private func begin(_ request: GenerateRequest, _ call: CallID) {
        if case .chat(let chat) = request.inputs[0], chat.toolsJSON != nil { return useTool(chat, call) }
        let prompt =
            switch request.inputs[0] {
            case .text(let text): text
            case .chat(let chat): chat.messagesJSON
            case .ids, .embeddings, .resumed, .multimodal: ""
            }
        let order = prompt.firstMatch(of: #/(segv|abort|kill|exit|hang|eat|differ)@(\d+)/#)
        server.send([(call, .accepted(promptTokens: 1, queuePosition: 0)), (call, .started(cachedTokens: 0))])
        answers[call] = Answer(
            seed: request.sampling.seed, words: Int(request.maximumTokens ?? 64),
            fault: order.map { String($0.1) } ?? "", faultAt: order.flatMap { Int($0.2) } ?? 0)
    }

    private func useTool(_ chat: ChatInput, _ call: CallID) {
        let result = chat.messagesJSON.firstMatch(of: #/"role":"tool".*"content":"([^"]*)"/#)
        let chunk =
            result.map { TokenChunk(choice: 0, ids: [1], text: "The tool said \($0.1).") }
            ?? TokenChunk(
                choice: 0, ids: [1], text: #"{"name":"weather","arguments":{"town":"Oslo"}}"#, kind: .toolCall)
        server.send([(call, .accepted(promptTokens: 1, queuePosition: 0)), (call, .tokens(chunk))])
        finish(call, tokens: 1, .stop)
    }

    private func finish(_ call: CallID, tokens: Int, _ reason: FinishReason) {
        let usage = Usage(promptTokens: 1, completionTokens: UInt32(tokens), cachedTokens: 0)
        server.send([
            (call, .choiceFinished(choice: 0, reason: reason)),
            (call, .finished(usage: usage, timings: Timings(preparation: 1, queue: 1, prefill: 1, decode: 1))),
        ])
    }

    private func tick() {
        _ = loop.after(nanoseconds: 2_000_000) { [self] in
            for call in answers.keys { advance(call) }
            tick()
        }
    }

    private func advance(_ call: CallID) {
        guard var answer = answers[call] else { return }
        if !answer.fault.isEmpty, answer.sent >= answer.faultAt { commit(answer.fault) }
        let name = answer.fault == "differ" && answer.sent >= answer.faultAt ? "\(getpid())" : "\(answer.seed)"
        let word = TokenChunk(choice: 0, ids: [Int32(answer.sent)], text: "\(name).\(answer.sent) ")
        answer.sent += 1
        answers[call] = answer
        server.send([(call, .tokens(word))])
        guard answer.sent == answer.words else { return }
        answers[call] = nil
        finish(call, tokens: answer.sent, .length)
    }

    private func commit(_ fault: String) {
        switch fault {
        case "segv": kill(getpid(), SIGSEGV)
        case "abort": kill(getpid(), SIGABRT)
        case "kill": kill(getpid(), SIGKILL)
        case "exit": exit(3)
        case "hang": while true { sleep(1000) }
        case "eat":
            while true {
                let bytes = UnsafeMutableRawPointer.allocate(byteCount: 1 << 24, alignment: 4096)
                memset(bytes, 1, 1 << 24)
            }
        default: break
        }
    }
}

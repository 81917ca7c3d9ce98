import EngineProtocol
import Foundation
import Platform
import RKLLMEngine
import TestSupport
import Testing

/// Text as it comes, up to a stop string that one token completes.
struct PlainText: AnswerText {
    var stopStrings: [String]
    private var bytes: [UInt8] = []

    init(_ options: AnswerOptions) { stopStrings = options.stopStrings }

    var withheldBytes: Int { bytes.count }

    mutating func append(_ bytes: [UInt8], to answer: inout AnswerParts) -> Bool {
        self.bytes += bytes
        let held = String(decoding: self.bytes, as: UTF8.self)
        if let range = stopStrings.lazy.compactMap({ held.range(of: $0) }).first {
            self.bytes = []
            answer.add(String(held[..<range.lowerBound]))
            return true
        }
        if stopStrings.isEmpty { flush(to: &answer) }
        return false
    }

    mutating func flush(to answer: inout AnswerParts) {
        answer.add(String(decoding: bytes, as: UTF8.self))
        bytes = []
    }
}

/// An engine with the stand-in for the runtime, and what it says.
final class RuntimeHarness: @unchecked Sendable {
    let engine: RKLLMEngine
    let record: String
    private let log: EventLog
    private var lastCall: UInt64 = 0

    init(
        _ family: Int, _ script: String, context: UInt32? = nil, threads: UInt32 = 0, runtime: RuntimeOptions? = nil
    ) throws {
        record = FakeRuntime.record()
        log = EventLog()
        let path = try FakeRuntime.model("record \(record)\n\(script)\n")
        engine = try Self.load(
            try FakeRuntime.library(family), path: path, context: context, threads: threads, runtime: runtime, log: log)
    }

    static func load(
        _ library: String, path: String, family: RuntimeFamily? = nil, context: UInt32? = nil, threads: UInt32 = 0,
        runtime: RuntimeOptions? = nil, log: EventLog = EventLog()
    ) throws -> RKLLMEngine {
        let request = LoadRequest(
            source: .descriptors(count: 1), purpose: .generate, displayName: "fake", contextLength: context,
            threads: threads, runtime: runtime)
        return try RKLLMEngine(
            path: path, byteCount: 1, request: request, runtime: RuntimeChoice(path: library, family: family),
            usableThreads: 2, makeText: { PlainText($0) }, emit: { log.add($0) })
    }

    deinit { engine.stop() }

    /// What the runtime was told.
    var told: [String] { FakeRuntime.lines(of: record) }

    private func nextCall() -> CallID {
        lastCall += 1
        return CallID(generation: 1, sequence: lastCall)
    }

    func submit(_ request: GenerateRequest, file: RuntimeFile? = nil) throws -> CallID {
        let call = nextCall()
        try engine.submit(try engine.prepare(request, file: file), call: call)
        return call
    }

    // MARK: Sessions and adapters

    func open(_ id: UInt64) throws -> SessionID {
        let id = SessionID(rawValue: id)
        #expect(try engine.openSession(id) == SessionState())
        return id
    }

    /// Does a task, and throws the error that it ends with.
    @discardableResult
    func perform(_ task: RuntimeTask) throws -> EngineResult? {
        let call = nextCall()
        try engine.submit(task, call: call)
        switch try finished(call).last {
        case .failed(let error): throw error
        case .result(let result): return result
        default: return nil
        }
    }

    @discardableResult
    func change(_ id: SessionID, _ change: SessionChange, file: RuntimeFile? = nil) throws -> SessionState {
        guard case .session(let state) = try perform(engine.prepare(change, of: id, file: file)) else {
            throw CancellationError()
        }
        return state
    }

    func loadAdapter(_ name: String, scale: Float = 1, content: String = "FAKE ADAPTER") throws {
        try perform(engine.prepare(AdapterRequest(name: name, scale: scale), file: try TestFile(content).runtime))
    }

    /// A turn of a session.
    func turn(
        _ text: String, in id: SessionID, keepsHistory: Bool = true, savesCache: Bool = false, tokens: UInt32? = nil
    ) -> GenerateRequest {
        var request = ask(text, tokens: tokens)
        request.session = SessionUse(id: id, keepsHistory: keepsHistory, savesCache: savesCache)
        return request
    }

    func embed(_ request: EmbedRequest) throws -> EngineEvent? {
        let call = nextCall()
        try engine.submit(try engine.prepare(request), call: call)
        return try finished(call).last
    }

    func run(_ request: GenerateRequest, file: RuntimeFile? = nil) throws -> [EngineEvent] {
        try finished(try submit(request, file: file))
    }

    /// What a request is refused for before it runs: a feature that the runtime does not have.
    func unsupported(_ request: GenerateRequest) -> String {
        do {
            _ = try engine.prepare(request)
            return "nothing"
        } catch EngineError.unsupported(let feature) {
            return feature
        } catch {
            return "\(error)"
        }
    }

    func events(of call: CallID, until isEnough: ([EngineEvent]) -> Bool) throws -> [EngineEvent] {
        try log.events(of: call, until: isEnough)
    }

    func finished(_ call: CallID) throws -> [EngineEvent] { try log.finished(call) }

    /// A chat of turns, or with a family that has no templates, the last turn's text.
    func ask(_ turns: String..., tokens: UInt32? = nil) -> GenerateRequest {
        guard engine.description.hasChatTemplate else {
            return GenerateRequest(inputs: [.text(turns.last ?? "")], maximumTokens: tokens)
        }
        return GenerateRequest(inputs: [.chat(Self.chat(turns))], maximumTokens: tokens)
    }

    static func chat(_ turns: [String], tools: String? = nil, variables: String? = nil) -> ChatInput {
        let messages = turns.enumerated().map { index, text in
            ["role": index.isMultiple(of: 2) ? "user" : "assistant", "content": text]
        }
        let json = (try? JSONEncoder().encode(messages)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return ChatInput(messagesJSON: json, toolsJSON: tools, variablesJSON: variables)
    }
}

/// A file in memory, as one that came beside a request.
final class TestFile: Sendable {
    private let memory: FileDescriptor

    init(_ content: String = "") throws {
        let file = try Array(content.utf8).withUnsafeBytes {
            try FileDescriptor.memory(name: "test", bytes: $0, sealed: false).release()
        }
        memory = FileDescriptor(owning: file)
    }

    var runtime: RuntimeFile { RuntimeFile(descriptor: memory.rawValue, owner: self) }

    var content: [UInt8] {
        get throws { Array(try Data(contentsOf: URL(fileURLWithPath: "/proc/self/fd/\(memory.rawValue)"))) }
    }

    func replace(_ content: [UInt8]) throws {
        try Data(content).write(to: URL(fileURLWithPath: "/proc/self/fd/\(memory.rawValue)"))
    }
}

extension [EngineEvent] {
    var text: String {
        reduce(into: "") { text, event in if case .tokens(let chunk) = event { text += chunk.text } }
    }

    var ids: [Int32] {
        reduce(into: []) { ids, event in if case .tokens(let chunk) = event { ids += chunk.ids } }
    }

    var rows: [TensorChunk] { compactMap { if case .tensor(let chunk) = $0 { chunk } else { nil } } }
    var reasons: [FinishReason] {
        compactMap { if case .choiceFinished(_, let reason) = $0 { reason } else { nil } }
    }

    var usage: Usage? { if case .finished(let usage, _)? = last { usage } else { nil } }
    var figures: RuntimeFigures? { if case .finished(_, let timings)? = last { timings.runtime } else { nil } }
    var failure: EngineError? { if case .failed(let error)? = last { error } else { nil } }
}

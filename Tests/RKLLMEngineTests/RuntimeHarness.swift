import EngineProtocol
import Foundation
import RKLLMEngine
import TestSupport

/// Text as it comes, up to a stop string that one token completes.
struct PlainText: AnswerText {
    var stopStrings: [String]
    private var bytes: [UInt8] = []

    init(stopStrings: [String]) { self.stopStrings = stopStrings }

    mutating func append(_ bytes: [UInt8], to text: inout String) -> Bool {
        self.bytes += bytes
        let held = String(decoding: self.bytes, as: UTF8.self)
        if let range = stopStrings.lazy.compactMap({ held.range(of: $0) }).first {
            self.bytes = []
            text += held[..<range.lowerBound]
            return true
        }
        if stopStrings.isEmpty { flush(to: &text) }
        return false
    }

    mutating func flush(to text: inout String) {
        text += String(decoding: bytes, as: UTF8.self)
        bytes = []
    }
}

/// An engine with the stand-in for the runtime, and what it says.
final class RuntimeHarness: @unchecked Sendable {
    let engine: RKLLMEngine
    let record: String
    private let log: EventLog
    private var lastCall: UInt64 = 0

    init(_ family: Int, _ script: String, context: UInt32? = nil, threads: UInt32 = 0) throws {
        record = FakeRuntime.record()
        log = EventLog()
        let path = try FakeRuntime.model("record \(record)\n\(script)\n")
        engine = try Self.load(
            try FakeRuntime.library(family), path: path, context: context, threads: threads, log: log)
    }

    static func load(
        _ library: String, path: String, family: RuntimeFamily? = nil, context: UInt32? = nil, threads: UInt32 = 0,
        log: EventLog = EventLog()
    ) throws -> RKLLMEngine {
        let request = LoadRequest(
            source: .descriptors(count: 1), purpose: .generate, displayName: "fake", contextLength: context,
            threads: threads)
        return try RKLLMEngine(
            path: path, byteCount: 1, request: request, runtime: RuntimeChoice(path: library, family: family),
            usableThreads: 2, makeText: { PlainText(stopStrings: $0) }, emit: { log.add($0) })
    }

    deinit { engine.stop() }

    /// What the runtime was told.
    var told: [String] { FakeRuntime.lines(of: record) }

    func submit(_ request: GenerateRequest) throws -> CallID {
        lastCall += 1
        let call = CallID(generation: 1, sequence: lastCall)
        try engine.submit(try engine.prepare(request), call: call)
        return call
    }

    func embed(_ request: EmbedRequest) throws -> EngineEvent? {
        lastCall += 1
        let call = CallID(generation: 1, sequence: lastCall)
        try engine.submit(try engine.prepare(request), call: call)
        return try finished(call).last
    }

    func run(_ request: GenerateRequest) throws -> [EngineEvent] { try finished(try submit(request)) }

    func events(of call: CallID, until isEnough: ([EngineEvent]) -> Bool) throws -> [EngineEvent] {
        try log.events(of: call, until: isEnough)
    }

    func finished(_ call: CallID) throws -> [EngineEvent] { try log.events(of: call) { $0.last?.isEnd == true } }

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

/// Collects what an engine says, and waits for it.
final class EventLog: @unchecked Sendable {
    private let condition = NSCondition()
    private var events: [CallID: [EngineEvent]] = [:]

    struct Timeout: Error { let events: [EngineEvent] }

    func add(_ batch: [(CallID, EngineEvent)]) {
        condition.withLock {
            for (call, event) in batch { events[call, default: []].append(event) }
            condition.broadcast()
        }
    }

    func events(of call: CallID, until isEnough: ([EngineEvent]) -> Bool) throws -> [EngineEvent] {
        let deadline = Date(timeIntervalSinceNow: 60)
        return try condition.withLock {
            while true {
                let soFar = events[call] ?? []
                if isEnough(soFar) { return soFar }
                guard condition.wait(until: deadline) else { throw Timeout(events: soFar) }
            }
        }
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
    var failure: EngineError? { if case .failed(let error)? = last { error } else { nil } }
}

import EngineProtocol
import Foundation
import ModelFiles
import NativeEngine
import Platform
import TestSupport

/// Text of a choice without stop strings, cut where the bytes are whole characters.
struct PlainText: ChoiceText {
    private var bytes: [UInt8] = []
    var withheldBytes: Int { bytes.count }

    mutating func append(_ bytes: [UInt8], to output: inout ChoiceOutput) -> Bool {
        self.bytes += bytes
        return false
    }

    mutating func flush(to output: inout ChoiceOutput) {
        output.add(String(decoding: bytes, as: UTF8.self))
        bytes = []
    }
}

/// An engine with a tiny model, and its log.
final class EngineHarness {
    let model: LoadedModel
    let log = EventLog()
    let engine: NativeEngine
    private var lastCall: UInt64 = 0

    convenience init(
        _ tiny: TinyModel = TinyModel(), context: UInt32? = nil, parallel: UInt32 = 4, threads: UInt32 = 2,
        limits: EngineLimits = EngineLimits()
    ) throws {
        try self.init(
            model: Self.load(tiny.bytes(), context: context, parallel: parallel, threads: threads, limits: limits))
    }

    init(
        model: LoadedModel, draftCost: Double? = nil, makeText: @escaping NativeEngine.MakeText = { _ in PlainText() }
    ) throws {
        self.model = model
        engine = try NativeEngine(
            model: model, draftCost: draftCost, makeText: makeText, emit: { [log] in log.add($0) })
    }

    deinit { engine.stop() }

    static func load(
        _ bytes: [UInt8], draft: [UInt8]? = nil, purpose: LoadRequest.Purpose = .generate, context: UInt32? = nil,
        parallel: UInt32 = 4,
        threads: UInt32 = 2, cacheType: LoadRequest.CacheType = .f16, limits: EngineLimits = EngineLimits(),
        memory: MemoryLimits = MemoryLimits(limitBytes: nil, availableBytes: 1 << 34, totalBytes: 1 << 34)
    ) throws(EngineError) -> LoadedModel {
        try LoadedModel(
            parts: [GGUFBytes(copying: bytes)], draftParts: draft.map { [GGUFBytes(copying: $0)] },
            request: LoadRequest(
                source: .descriptors(count: 1), purpose: purpose, displayName: "tiny", contextLength: context,
                parallel: parallel, threads: threads, cacheType: cacheType),
            memory: memory, usableThreads: 2, limits: limits)
    }

    func nextCall() -> CallID {
        lastCall += 1
        return CallID(rawValue: lastCall)
    }

    func start(_ request: GenerateRequest) throws -> CallID {
        let call = nextCall()
        try engine.submit(engine.prepare(request), call: call)
        return call
    }

    func score(_ request: ScoreRequest) throws -> CallID {
        let call = nextCall()
        try engine.submit(model.prepare(request), call: call)
        return call
    }

    /// Runs one generation to its end.
    func run(_ request: GenerateRequest) throws -> [EngineEvent] { try log.finished(start(request)) }
}

extension [EngineEvent] {
    /// The ids of a choice, in order.
    func ids(choice: UInt32 = 0) -> [Int32] {
        flatMap { event -> [Int32] in
            if case .tokens(let chunk) = event, chunk.choice == choice { chunk.ids } else { [] }
        }
    }

    func reason(choice: UInt32 = 0) -> FinishReason? {
        for case .choiceFinished(choice, let reason) in self { return reason }
        return nil
    }

    var usage: Usage? {
        if case .finished(let usage, _)? = last { usage } else { nil }
    }

    var timings: Timings? {
        if case .finished(_, let timings)? = last { timings } else { nil }
    }
}

extension GenerateRequest {
    /// A generation of a plain text that does not end by itself.
    static func text(
        _ text: String, tokens: UInt32?, seed: UInt64 = 7, temperature: Float = 1, choices: UInt32 = 1,
        bias: [LogitBias] = []
    ) -> GenerateRequest {
        GenerateRequest(
            inputs: [.text(text)], choices: choices, maximumTokens: tokens,
            sampling: SamplingParameters(temperature: temperature, logitBias: bias, seed: seed),
            ignoreEndOfSequence: true)
    }
}

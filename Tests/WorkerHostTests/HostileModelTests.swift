import EngineProtocol
import Foundation
import Platform
import TestSupport
import Testing

/// Hostile model files in real, confined workers, one process for each file: an error or an answer, never a crash.
///
/// `make fuzz-models` runs the long form. `APUS_FUZZ_MODELS` says how many files, `APUS_FUZZ_SEED` where they begin, and
/// `APUS_FUZZ_WORKER` which program is tried.
@Suite struct HostileModelTests {
    private static func setting(_ name: String) -> String? { ProcessInfo.processInfo.environment["APUS_FUZZ_" + name] }

    private static let memoryBytes: UInt64 = 512 << 20

    private enum Outcome { case refused, answered, failed(String) }

    @Test func `no hostile model file crashes its worker`() throws {
        let count = UInt64(Self.setting("MODELS") ?? "") ?? 300
        let first = UInt64(Self.setting("SEED") ?? "") ?? 1
        var (refused, answered, slowest) = (0, 0, Duration.zero)
        for seed in first..<first + count {
            let model = HostileModel(seed: seed)
            let began = ContinuousClock.now
            let outcome = Self.outcome(of: model, seed: seed)
            slowest = max(slowest, ContinuousClock.now - began)
            switch outcome {
            case .refused: refused += 1
            case .answered: answered += 1
            case .failed(let how):
                Issue.record("seed \(seed): \(how)\n\(model.changes.joined(separator: "\n"))")
            }
            if count > 1000, (seed - first + 1) % 1000 == 0 {
                print("hostile models: \(seed - first + 1) tried, \(refused) refused, \(answered) answered")
            }
        }
        let crashed = Int(count) - refused - answered
        print(
            "hostile models: \(count) tried from seed \(first), \(refused) refused, \(answered) answered, "
                + "\(crashed) crashed or hung, the slowest took \(slowest)")
        #expect(refused > 0 && answered > 0)
    }

    private static func outcome(of model: HostileModel, seed: UInt64) -> Outcome {
        do {
            let worker = try WorkerProcess(
                options: ["--confinement", "best", "--memory", String(memoryBytes)], program: setting("WORKER"))
            let isLoaded: Bool
            do {
                isLoaded = try use(worker, model, seed: seed)
            } catch {
                worker.process.signal(SIGKILL)
                return .failed("\(error); it ended with \(try worker.end().exit)")
            }
            let ended = try worker.end()
            guard ended.exit == .status(0) else { return .failed("\(ended.exit): \(ended.errors.suffix(2000))") }
            return isLoaded ? .answered : .refused
        } catch {
            return .failed("\(error)")
        }
    }

    /// Loads the model and uses all of it.
    ///
    /// - Returns: whether it was loaded.
    private static func use(_ worker: WorkerProcess, _ model: HostileModel, seed: UInt64) throws -> Bool {
        let purpose: LoadRequest.Purpose = seed % 16 == 0 ? .inspect : seed % 16 == 1 ? .tokenize : .generate
        let loaded = try worker.load(
            model.bytes, purpose: purpose, context: seed % 4 == 0 ? nil : 64, parallel: UInt32(seed % 3))
        guard case .result = loaded else { return false }
        let chat = ChatInput(messagesJSON: #"[{"role":"user","content":"Hi"},{"role":"assistant","content":"the a"}]"#)
        let requests: [EngineRequest] = [
            .inspect, .tokenize(TokenizeRequest(text: "the fox\u{300} <s> 1234 ▁ \u{10FFFF}\n\n")),
            .detokenize(ids: [0, 1, 2, 258, 259, 270]), .renderTemplate(chat),
            .generate(GenerateRequest(inputs: [.text("the a")], maximumTokens: 3)),
            .generate(GenerateRequest(inputs: [.ids([1, 0, 40])], maximumTokens: 2)),
            .generate(GenerateRequest(inputs: [.chat(chat)], maximumTokens: 1)),
            .score(ScoreRequest(text: "the fox ran", window: 8)),
        ]
        for call in requests.map({ worker.send($0) }) { _ = try worker.end(of: call) }
        return true
    }
}

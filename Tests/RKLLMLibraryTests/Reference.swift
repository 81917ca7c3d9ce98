import EngineProtocol
import Observability
import Supervision
import TestSupport

/// The same model asked over the worker's own protocol.
final class Reference {
    private struct Unheard: LogSink {
        func write(line: [UInt8]) {}
    }

    struct Answer {
        var text = ""
        var ids: [Int32] = []
        var rows: [Float] = []
        var columns = 0
    }

    private let session: WorkerSession

    init(contextLength: UInt32? = nil, parallel: UInt32 = 1) throws {
        session = try WorkerSession(
            workerPath: Programs.path("apus-worker"), sources: ModelSources(.bundledDemo),
            load: LoadRequest(
                source: .bundledDemo, purpose: .generate, displayName: "demo", contextLength: contextLength,
                parallel: parallel),
            logger: Logger(component: "test", sink: Unheard()))
    }

    var model: ModelDescription { session.description }

    static func chat(_ text: String, system: String? = nil, tools: String? = nil) -> GenerateRequest.Input {
        let before = system.map { #"{"role":"system","content":"\#($0)"},"# } ?? ""
        return .chat(
            ChatInput(
                messagesJSON: "[\(before){\"role\":\"user\",\"content\":\"\(text)\"}]", toolsJSON: tools,
                variablesJSON: #"{"enable_thinking":false}"#))
    }

    /// The likeliest continuation.
    func answer(
        _ input: GenerateRequest.Input, maximumTokens: UInt32 = 24, tensors: TensorRequest.Kind? = nil
    ) throws -> Answer {
        var request = GenerateRequest(
            inputs: [input], maximumTokens: tensors == nil ? maximumTokens : 0,
            sampling: SamplingParameters(temperature: 0))
        request.speculation = .off
        request.tensors = tensors.map { TensorRequest(kind: $0, credit: 1 << 20) }
        var answer = Answer()
        try session.run([.generate(request)]) { _, event in
            if case .tokens(let chunk) = event {
                answer.text += chunk.text
                answer.ids += chunk.ids
            }
            if case .tensor(let chunk) = event {
                answer.rows += chunk.tensor.values
                answer.columns = Int(chunk.tensor.columns)
            }
        }
        return answer
    }
}

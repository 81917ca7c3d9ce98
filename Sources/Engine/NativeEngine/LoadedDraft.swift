import EngineProtocol
import ModelFiles
import Models
import Scheduling
import Tensors
import Tokenizers

/// A model that drafts for another one: its file and its weights.
struct LoadedDraft: Sendable {
    private let file: GGUFFile
    private let tokenizer: Tokenizer
    let decoder: any DecoderModel

    /// Reads the model from its files, in the order of their split numbers.
    init(parts: [GGUFBytes]) throws(EngineError) {
        do throws(EngineError) {
            file = try LoadedModel.readFile(parts)
            tokenizer = try LoadedModel.readTokenizer(file)
            decoder = try LoadedModel.readDecoder(file)
        } catch {
            throw error.ofDraftModel
        }
    }

    /// Refuses a draft model whose tokens mean something else than the model's.
    func check(against model: Tokenizer) throws(EngineError) {
        if let difference = tokenizer.difference(from: model) {
            throw .invalidRequest(
                parameter: "draft_model",
                message: "the draft model's tokenizer differs from the model's: \(difference)")
        }
    }

    /// Bytes of all that does not grow with the blocks of the cache: weights, buffers, and a few blocks for each sequence.
    func fixedBytes(parallel: Int, cacheType: CacheType, limits: EngineLimits) throws(EngineError) -> UInt64 {
        let configuration = decoder.configuration
        let shape = SchedulerLimits(slots: parallel, blocks: 1, limits: limits, configuration: configuration)
        let buffers = UInt64(try DraftModel.workspace(configuration, limits: shape).byteCount)
        let scratch = DraftModel.scratchBlocks * parallel * configuration.cacheBytesPerBlock(cacheType)
        return decoder.packedBytes + buffers + UInt64(scratch)
    }
}

extension EngineError {
    /// The same error, as one about the draft model.
    fileprivate var ofDraftModel: EngineError {
        switch self {
        case .invalidRequest(_, let message): .invalidRequest(parameter: "draft_model", message: "draft \(message)")
        case .unsupported(let feature): .unsupported(feature: "draft \(feature)")
        default: self
        }
    }
}

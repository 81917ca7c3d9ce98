import CRKLLM
import EngineProtocol

/// What the runtime reads by pointers: it lasts as long as this object.
final class RunMemory {
    private var blocks: [UnsafeMutableRawPointer] = []

    deinit { for block in blocks { block.deallocate() } }

    func text(_ text: String) -> UnsafeMutablePointer<CChar> {
        numbers(text.utf8.map { CChar(bitPattern: $0) } + [0])
    }

    /// Room for at least one, so that there is a pointer.
    func numbers<Number: BitwiseCopyable>(_ values: [Number]) -> UnsafeMutablePointer<Number> {
        let block = UnsafeMutableRawPointer.allocate(
            byteCount: max(1, values.count) * MemoryLayout<Number>.stride, alignment: 64)
        blocks.append(block)
        let numbers = block.bindMemory(to: Number.self, capacity: max(1, values.count))
        numbers.update(from: values, count: values.count)
        return numbers
    }

    /// What a run is given for one input.
    func input(_ run: PreparedRun, family: RuntimeFamily) -> apus_rkllm_input {
        var input = apus_rkllm_input()
        (input.is_tool, input.thinks) = (run.isTool, run.thinks)
        switch run.input {
        case .prompt(let text):
            (input.kind, input.data) = (apus_rkllm_prompt, UnsafeRawPointer(self.text(text)))
        case .tokens(let ids):
            (input.kind, input.data, input.count) = (apus_rkllm_tokens, UnsafeRawPointer(numbers(ids)), ids.count)
        case .embeddings(let rows):
            (input.kind, input.data) = (apus_rkllm_embeddings, UnsafeRawPointer(numbers(rows.values)))
            input.count = Int(rows.rows)
        case .multimodal(let multimodal):
            (input.kind, input.data) = (apus_rkllm_multimodal, UnsafeRawPointer(text(multimodal.prompt)))
            for media in multimodal.media {
                switch media.kind {
                case .image: input.image = self.media(media)
                case .video: input.video = self.media(media)
                }
            }
        }
        return input
    }

    private func media(_ media: MultimodalInput.Media) -> apus_rkllm_media {
        apus_rkllm_media(
            rows: UnsafePointer(numbers(media.embeddings.values)), items: Int(media.count),
            frames: Int(media.framesPerItem), tokens: Int(media.tokensPerFrame), width: Int(media.width),
            height: Int(media.height), start: UnsafePointer(text(media.startTag)),
            end: UnsafePointer(text(media.endTag)), content: UnsafePointer(text(media.contentTag)))
    }
}

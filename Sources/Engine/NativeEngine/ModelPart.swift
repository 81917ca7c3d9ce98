public import EngineProtocol
import ModelFiles
public import Platform

/// One file of a model, as whoever opened it hands it over.
public enum ModelPart: @unchecked Sendable {
    case file(MappedFile)
    /// Read-only memory that lasts as long as the process, such as bytes embedded in the program.
    case permanentMemory(UnsafeRawBufferPointer)

    fileprivate var bytes: GGUFBytes {
        switch self {
        case .file(let file): GGUFBytes(mapping: file)
        case .permanentMemory(let bytes): GGUFBytes(staticBytes: bytes)
        }
    }
}

extension LoadedModel {
    /// Reads the model, and one that drafts for it, from their files, in the order of their split numbers.
    public convenience init(
        parts: [ModelPart], draftParts: [ModelPart]? = nil, request: LoadRequest, memory: MemoryLimits,
        usableThreads: Int,
        instructionSet: String? = nil
    ) throws(EngineError) {
        try self.init(
            parts: parts.map(\.bytes), draftParts: draftParts?.map(\.bytes), request: request, memory: memory,
            usableThreads: usableThreads,
            instructionSet: instructionSet)
    }
}

// What only some engines take: an engine without it says `unsupported` and names it.

/// A text with places for images or videos, and what an encoder made of those.
public struct MultimodalInput: Sendable, Equatable {
    public var prompt: String
    public var media: [Media]

    public init(prompt: String, media: [Media]) {
        self.prompt = prompt
        self.media = media
    }

    /// All images, or all videos, of a prompt.
    public struct Media: Sendable, Equatable {
        public enum Kind: UInt8, Sendable {
            case image = 0
            case video = 1
        }

        public var kind: Kind
        public var count: UInt32
        /// 1 for images.
        public var framesPerItem: UInt32
        public var tokensPerFrame: UInt32
        /// In pixels.
        public var width: UInt32
        public var height: UInt32
        /// What stands in the prompt before, after and in the place of each item; empty: the model's own.
        public var startTag: String
        public var endTag: String
        public var contentTag: String
        /// A row for each token of each frame of each item.
        public var embeddings: Tensor

        public init(
            kind: Kind, count: UInt32, framesPerItem: UInt32 = 1, tokensPerFrame: UInt32, width: UInt32, height: UInt32,
            startTag: String = "", endTag: String = "", contentTag: String = "", embeddings: Tensor
        ) {
            self.kind = kind
            self.count = count
            self.framesPerItem = framesPerItem
            self.tokensPerFrame = tokensPerFrame
            self.width = width
            self.height = height
            self.startTag = startTag
            self.endTag = endTag
            self.contentTag = contentTag
            self.embeddings = embeddings
        }
    }
}

/// The output of an encoder that the model's layers attend to.
public struct CrossAttention: Sendable, Equatable {
    /// `[layer][token][head][dimension]`, in any shape.
    public var keys: Tensor
    /// `[layer][head][dimension][token]`, in any shape.
    public var values: Tensor
    /// One value for each token.
    public var mask: Tensor
    /// One for each token.
    public var positions: [Int32]

    public init(keys: Tensor, values: Tensor, mask: Tensor, positions: [Int32]) {
        self.keys = keys
        self.values = values
        self.mask = mask
        self.positions = positions
    }
}

/// Loads an adapter of the model, which generations then choose by its name; its file comes beside the request.
public struct AdapterRequest: Sendable, Equatable {
    public var name: String
    public var scale: Float

    public init(name: String, scale: Float = 1) {
        self.name = name
        self.scale = scale
    }
}

/// How a vendor's runtime is started; it cannot be changed while a model is loaded.
public struct RuntimeOptions: Sendable, Equatable {
    /// Where its memory begins; nil takes the chip's usual one.
    public var baseDomain: UInt32?
    /// Reads the embedding table from storage, which takes less memory.
    public var readsEmbeddingsFromStorage: Bool
    /// Processors that it uses beside the NPU; 0 is its own choice.
    public var processors: UInt8
    /// Inputs that one run computes together; 0 is 1.
    public var batch: UInt8
    public var usesCrossAttention: Bool
    /// One bit for each processor; 0 is its own choice.
    public var processorMask: UInt32

    public init(
        baseDomain: UInt32? = nil, readsEmbeddingsFromStorage: Bool = false, processors: UInt8 = 0, batch: UInt8 = 0,
        usesCrossAttention: Bool = false, processorMask: UInt32 = 0
    ) {
        self.baseDomain = baseDomain
        self.readsEmbeddingsFromStorage = readsEmbeddingsFromStorage
        self.processors = processors
        self.batch = batch
        self.usesCrossAttention = usesCrossAttention
        self.processorMask = processorMask
    }
}

/// What a vendor's runtime says about a run, as it says it.
public struct RuntimeFigures: Sendable, Equatable {
    public var prefillMilliseconds: Float
    public var prefillTokens: UInt32
    public var generateMilliseconds: Float
    public var generateTokens: UInt32
    /// The most that the process had, in units of 2^20 bytes.
    public var memoryMegabytes: Float

    public init(
        prefillMilliseconds: Float, prefillTokens: UInt32, generateMilliseconds: Float, generateTokens: UInt32,
        memoryMegabytes: Float
    ) {
        self.prefillMilliseconds = prefillMilliseconds
        self.prefillTokens = prefillTokens
        self.generateMilliseconds = generateMilliseconds
        self.generateTokens = generateTokens
        self.memoryMegabytes = memoryMegabytes
    }
}

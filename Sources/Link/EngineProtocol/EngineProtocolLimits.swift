/// The bounds of one message.
///
/// Encoder and decoder check the same ones, so that no side sends what the other refuses.
public enum EngineProtocolLimits {
    /// Bytes of one payload: twice the largest HTTP body.
    public static let payloadBytes = 64 << 20
    /// Descriptors that one message may carry: parts of a split model, and a memory file for the payload itself.
    public static let descriptors = 128
    /// Events of one batch.
    public static let events = 65_536
    /// Inputs of one generation.
    public static let inputs = 2_048
    public static let choices = 128
    /// Token ids of one list.
    public static let tokenIDs = 8 << 20
    public static let stopStrings = 64
    public static let stopStringBytes = 4_096
    public static let stopTokenIDs = 1_024
    public static let logitBiases = 65_536
    public static let sequenceBreakers = 64
    public static let sequenceBreakerBytes = 4_096
    /// Likeliest tokens beside a chosen one.
    public static let topLogProbabilities = 128
    /// Tenants, model names, feature names, request fields.
    public static let nameBytes = 4_096
    /// What a local client calls its request.
    public static let requestIDBytes = 128
    /// Models of one server.
    public static let models = 4_096
    /// Sets of images or videos beside one prompt.
    public static let media = 2
    /// Explanations in errors.
    public static let explanationBytes = 65_536
}

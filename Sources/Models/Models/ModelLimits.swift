/// Bounds on the hyper-parameters that a model file may ask for.
public enum ModelLimits {
    public static let layers = 1...1024
    public static let width = 1...131_072
    public static let heads = 1...1024
    public static let headDimension = 2...512
    public static let feedForwardWidth = 1...1_048_576
    public static let experts = 1...1024
    public static let vocabularySize = 1...4_194_304
    public static let contextLength = 1...16_777_216
}

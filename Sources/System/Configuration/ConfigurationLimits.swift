/// Bounds of what a configuration may hold.
public enum ConfigurationLimits {
    public static let fileBytes = 1 << 20
    public static let textBytes = 4096
    public static let listElements = 256
    public static let models = 256
    public static let modelNameBytes = 256
}

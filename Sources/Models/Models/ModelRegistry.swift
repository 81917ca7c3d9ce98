public import ModelFiles

/// Finds the code for a model file by the architecture that the file names.
public enum ModelRegistry {
    private static let architectures: [any (DecoderArchitecture & Sendable).Type] = [
        Llama.self, Qwen2.self, Qwen3.self, Qwen3MoE.self,
    ]

    public static var supportedArchitectures: [String] { architectures.map { $0.name } }

    /// Checks every hyper-parameter and the shape of every tensor; reads no weights but vectors.
    public static func load(_ file: GGUFFile) throws(ModelLoadError) -> any DecoderModel {
        let key = "general.architecture"
        guard file.metadata[key] != nil else { throw .missingParameter(key: key) }
        guard let name = file.metadata.string(key) else {
            throw .invalidParameter(key: key, reason: "a string is needed")
        }
        guard let architecture = architectures.first(where: { $0.name == name }) else {
            throw .unsupportedArchitecture(name: name.shortened, supported: supportedArchitectures)
        }
        return try TransformerDecoder(file, architecture: architecture)
    }
}

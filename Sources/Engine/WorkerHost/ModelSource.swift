import CDemoModel
import EngineLink
import EngineProtocol
import NativeEngine
import Platform

/// Where the bytes of a model come from: files that the gateway opened, or the worker's own binary.
enum ModelSource {
    /// - Parameter parameter: what errors name.
    static func parts(
        of source: LoadRequest.Source, descriptors: ArraySlice<LinkDescriptor>, parameter: String, limits: WorkerLimits
    ) throws(EngineError) -> [ModelPart] {
        switch source {
        case .bundledDemo:
            let bytes = UnsafeRawBufferPointer(start: apus_demo_model_start(), count: apus_demo_model_size)
            return [.permanentMemory(bytes)]
        case .descriptors(let count):
            guard count > 0, count <= limits.modelFiles, Int(count) == descriptors.count else {
                throw .invalidRequest(
                    parameter: parameter,
                    message: "\(count) model files are announced and \(descriptors.count) came; "
                        + "allowed are 1 to \(limits.modelFiles)")
            }
            var parts: [ModelPart] = []
            for descriptor in descriptors {
                do {
                    parts.append(.file(try MappedFile(descriptor: descriptor.rawValue)))
                } catch {
                    throw .invalidRequest(parameter: parameter, message: "model file: \(error.description)")
                }
            }
            return parts
        }
    }
}

"""A Workload API that answers as a test tells it, and remembers what it was asked."""
import concurrent.futures

import grpc

from spiffe_api import METHODS, services


class ScriptedServer(grpc.ServerInterceptor):
    """An answer is a message, a list of messages one for each call, or a status code."""

    def __init__(self, path, answers):
        self.address = f"unix://{path}"
        self.asked = []  # (method path, metadata), of every request
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), interceptors=[self])
        servicer = services.SpiffeWorkloadAPIServicer()
        for method, answer in answers.items():
            setattr(servicer, method, self._handler(METHODS[method], answer))
        services.add_SpiffeWorkloadAPIServicer_to_server(servicer, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.add_insecure_port(f"unix:{path}")
        self._server.start()

    def intercept_service(self, continuation, call):
        self.asked.append((call.method, list(call.invocation_metadata)))
        return continuation(call)

    @staticmethod
    def _handler(method, answer):
        answers = iter(answer) if isinstance(answer, list) else iter(lambda: answer, None)

        def stream(request, context):
            reply = next(answers)
            if isinstance(reply, grpc.StatusCode):
                context.abort(reply, "as told")
            yield reply

        def unary(request, context):
            return next(stream(request, context))

        return stream if method.server_streaming else unary

    def stop(self):
        self._server.stop(None).wait()

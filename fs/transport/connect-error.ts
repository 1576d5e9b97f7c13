/** The reasons why a connection could not be made, in plain words. */
const reasons: Record<string, string> = {
  ENOENT: 'no server listens there',
  ECONNREFUSED: 'no server listens there',
  EACCES: 'it belongs to another user',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the host name cannot be looked up now',
  EAGAIN: 'the server is busy, and its queue is full',
  ETIMEDOUT: 'no answer',
  EHOSTUNREACH: 'no route to the host',
  // OpenSSL's own texts: Node 26 appends advice to them that is meant for someone who starts node themselves
  DEPTH_ZERO_SELF_SIGNED_CERT: 'self-signed certificate',
  SELF_SIGNED_CERT_IN_CHAIN: 'self-signed certificate in certificate chain',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'unable to get local issuer certificate',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'unable to verify the first certificate',
}

/** Why a connection could not be made: our own words for it if there are any, otherwise the error's message. */
export function connectError(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  return (code && reasons[code]) ?? error.message
}

// Prints the access token that azure-identity gets with what a platform injects, for the resource in the first argument.
const { WorkloadIdentityCredential } = require("@azure/identity");

new WorkloadIdentityCredential({ disableInstanceDiscovery: true }).getToken(`${process.argv[2]}/.default`).then(
  ({ token }) => console.log(JSON.stringify({ token })),
  ({ name, message }) => console.log(JSON.stringify({ refused: { code: name, message } })),
);

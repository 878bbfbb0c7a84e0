// Tells who AWS's SDK is, with the credentials that its default chain finds in the environment.
const { GetCallerIdentityCommand, STSClient } = require("@aws-sdk/client-sts");

new STSClient({}).send(new GetCallerIdentityCommand({})).then(
  ({ Arn }) => console.log(JSON.stringify({ arn: Arn })),
  ({ name, message }) => console.log(JSON.stringify({ refused: { code: name, message } })),
);
